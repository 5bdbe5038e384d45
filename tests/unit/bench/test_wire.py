"""Requests are whole HTTP messages around any id; answers are found however the bytes are cut."""

import json

import httptools
import pytest

from bench.wire import ID_LENGTH, Answers, Request, address, cut, is_settled, round_ids

ANSWER = b'HTTP/1.1 201 Created\r\nContent-Length: 19\r\n\r\n{"state":"settled"}'
CHUNKED = (
    b"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno,\r\n3\r\nnot\r\n0\r\n\r\n"
)


class Parsed:
    """A request as a server would read it."""

    def __init__(self, data: bytes) -> None:
        self.url, self.body, self.complete = b"", b"", 0
        self.headers: dict[bytes, bytes] = {}
        httptools.HttpRequestParser(self).feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1


def test_a_request_is_whole_with_its_id_everywhere_it_belongs() -> None:
    request = Request("/rounds/{round_id}", {"Key": "{round_id}"}, {"round_id": "{round_id}", "stake": 100})
    round_id = round_ids("bench-1-")()
    parsed = Parsed(round_id.join(cut(request, host="127.0.0.1:80")))
    assert parsed.complete == 1
    assert parsed.url == b"/rounds/" + round_id
    assert parsed.headers[b"key"] == round_id
    assert parsed.headers[b"host"] == b"127.0.0.1:80"
    assert json.loads(parsed.body) == {"round_id": round_id.decode(), "stake": 100}
    assert int(parsed.headers[b"content-length"]) == len(parsed.body)


def test_ids_have_one_length_and_never_come_twice() -> None:
    following = round_ids("p-")
    ids = [following() for _ in range(1_000)]
    assert {len(each) for each in ids} == {ID_LENGTH}
    assert len(set(ids)) == 1_000


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_answers_are_found_however_the_bytes_arrive(size: int) -> None:
    found: list[tuple[int, bytes]] = []
    answers = Answers(lambda status, body: found.append((status, body)))
    stream = ANSWER + CHUNKED + ANSWER
    for begin in range(0, len(stream), size):
        answers.feed(stream[begin : begin + size])
    assert found == [(201, b'{"state":"settled"}'), (503, b"no,not"), (201, b'{"state":"settled"}')]


def test_an_answer_says_whether_it_has_retry_after() -> None:
    found: list[bool] = []
    answers = Answers(lambda status, body: found.append(answers.retry_after))
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    answers.feed(ANSWER + refusal + ANSWER)
    assert found == [False, True, False]


def test_what_is_no_http_is_said_to_be_none() -> None:
    with pytest.raises(httptools.HttpParserError):
        Answers(lambda status, body: None).feed(b"220 mail.example ESMTP\r\n")


@pytest.mark.parametrize(
    ("status", "body", "success"),
    [
        (201, b'{"round_id":"a","state":"settled"}', True),
        (200, b'{"state": "settled"}', True),
        (202, b'{"state":"pending"}', False),
        (201, b'{"state":"void"}', False),
        (503, b'{"state":"settled"}', False),
    ],
)
def test_only_a_settled_round_is_a_success(status: int, body: bytes, success: bool) -> None:
    assert is_settled(status, body) is success


def test_an_address_is_host_and_port() -> None:
    assert address("http://127.0.0.1:8080") == ("127.0.0.1", 8080)
