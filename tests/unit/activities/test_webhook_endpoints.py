"""Endpoints as the internet has them: guarded, bounded, never followed, and answered for whatever they do."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence

import pytest

from activities import webhook_endpoints
from activities.webhook_endpoints import SHARES, Answer, Endpoints, Purpose
from security.standard_webhooks import SharedSecret, signed_headers
from tests.support.conditions import HANG_S, until
from tests.support.receiver import fits, receiving

KEY = SharedSecret(b"k" * 32)
BODY = b'{"id":"e-1"}'


@pytest.fixture
async def endpoints() -> AsyncIterator[Endpoints]:
    made = Endpoints(local=True, now_s=lambda: 1_700_000_000.5)
    yield made
    await made.aclose()


async def send(endpoints: Endpoints, url: str) -> Answer:
    return await endpoints.send("w", url, [KEY], event_id="e-1", body=BODY, purpose=Purpose.NEW)


async def test_a_message_is_signed_with_its_time(endpoints: Endpoints) -> None:
    async with receiving() as receiver:
        assert await send(endpoints, receiver.url) == Answer()
    (got,) = receiver.received
    assert (got.headers["webhook-id"], got.headers["webhook-timestamp"]) == ("e-1", "1700000000")
    assert got.body == BODY


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_takes_the_event(endpoints: Endpoints, status: int) -> None:
    async with receiving(otherwise=status, says=b"thanks") as receiver:
        assert await send(endpoints, receiver.url) == Answer()


async def test_an_answer_that_an_endpoint_writes_twice_takes_no_other_event(endpoints: Endpoints) -> None:
    taken = b"HTTP/1.1 204 Said\r\n\r\n"
    async with receiving(answers=[204, 500], beyond=[taken]) as receiver:
        assert await send(endpoints, receiver.url) == Answer()
        assert (await send(endpoints, receiver.url)).error == "status-500"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(endpoints: Endpoints, status: int) -> None:
    async with receiving() as inside:
        async with receiving(otherwise=status, headers={"location": inside.url}) as receiver:
            answer = await send(endpoints, receiver.url)
        assert answer.error == f"status-{status}"
        assert inside.received == []


async def test_what_an_endpoint_says_is_kept_in_part_and_without_control_characters(
    endpoints: Endpoints,
) -> None:
    async with receiving(otherwise=500, says=b"\x1b[2J no\r\n " + b"x" * 100_000) as receiver:
        answer = await send(endpoints, receiver.url)
    assert answer.error is not None
    assert answer.error.startswith("status-500: [2J no xxx")
    assert len(answer.error) < 150
    assert answer.error.isprintable()


async def test_410_says_that_it_is_gone(endpoints: Endpoints) -> None:
    async with receiving(otherwise=410) as receiver:
        assert (await send(endpoints, receiver.url)).gone


@pytest.mark.parametrize(
    ("told", "understood"), [("120", 120), ("-1", None), ("soon", None), ("1e3", None), ("9" * 30, None)]
)
async def test_retry_after_is_understood_in_seconds(
    endpoints: Endpoints, told: str, understood: int | None
) -> None:
    async with receiving(otherwise=503, headers={"retry-after": told}) as receiver:
        assert (await send(endpoints, receiver.url)).retry_after_s == understood


async def test_an_endpoint_that_breaks_or_is_not_there_is_named_without_its_url(endpoints: Endpoints) -> None:
    async with receiving(otherwise=0) as receiver:
        broken = await send(endpoints, receiver.url)
    gone = await send(endpoints, receiver.url)
    assert broken.error == "connection-lost: the connection ended, or what came over it was not HTTP"
    assert gone.error == "not-reached: no connection"


async def test_an_endpoint_that_says_nothing_is_given_up_in_time(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_endpoints, "TOTAL_S", 0.2)

    async with receiving(silent=True) as receiver:
        answer = await send(endpoints, receiver.url)
    assert answer.error == "timeout: no answer within 0.2 s"


async def test_a_status_counts_though_its_body_never_ends(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_endpoints, "TOTAL_S", 2)  # a slow machine gets the status within it

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nsome")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    async with server:
        answer = await send(endpoints, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert answer == Answer()


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://user:pass@example.com/",
    ],
)
async def test_an_address_inside_is_never_connected_to(url: str) -> None:
    """Also for a webhook that was stored while `webhooks_local` was set."""

    async def never(host: str, port: int) -> Sequence[str]:
        raise AssertionError(host)

    guarded = Endpoints(local=False, resolve=never)
    answer = await send(guarded, url)
    await guarded.aclose()
    assert answer.error is not None
    assert answer.error.startswith("address-refused")


async def test_a_name_that_leads_inside_is_never_connected_to() -> None:
    """DNS rebinding: what is checked is the address that would be connected to."""
    asked = []

    async def inside(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    guarded = Endpoints(local=False, resolve=inside)
    async with receiving() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]
        answer = await send(guarded, f"https://hooks.example.com:{port}/")
    await guarded.aclose()
    assert asked == ["hooks.example.com"]
    assert answer.error == "address-refused: the name leads to an address that is not public"
    assert receiver.received == []


async def test_a_hostile_endpoint_has_so_many_messages_under_way_and_takes_nobody_elses_place(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_endpoints, "TOTAL_S", 10 * HANG_S)
    under_way = most = asked = 0
    over = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most, asked
        under_way, asked = under_way + 1, asked + 1
        most = max(most, under_way)
        await over.wait()
        under_way -= 1
        writer.close()

    calls = SHARES[Purpose.NEW].calls

    async def all_places_taken() -> bool:
        return under_way == calls

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    async with server, receiving() as friendly:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        hostile = asyncio.gather(
            *(
                endpoints.send("hostile", url, [KEY], event_id=str(n), body=BODY, purpose=Purpose.NEW)
                for n in range(20)
            )
        )
        await until(all_places_taken)
        async with asyncio.timeout(HANG_S):
            assert await send(endpoints, friendly.url) == Answer()
        over.set()
        answers = await hostile
    assert most == calls
    assert asked == 20, "who waits for a place has it in the end"
    assert {answer.error for answer in answers} == {
        "connection-lost: the connection ended, or what came over it was not HTTP"
    }


async def test_what_waits_for_a_silent_endpoint_is_held_back_and_keeps_no_other_purpose_waiting(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty events that are sent again wait in an activity each, which all webhooks share."""
    monkeypatch.setattr(webhook_endpoints, "TOTAL_S", 10 * HANG_S)
    calls = SHARES[Purpose.AGAIN].calls
    async with receiving(silent=True) as receiver:
        again = [
            asyncio.create_task(
                endpoints.send("w", receiver.url, [KEY], event_id=f"e-{n}", body=BODY, purpose=Purpose.AGAIN)
            )
            for n in range(50)
        ]
        await receiver.until_received(calls)
        async with asyncio.timeout(HANG_S):
            held_back = [await done for done in asyncio.as_completed(again[calls:])]
        assert {(answer.error, answer.sent) for answer in held_back} == {
            ("busy: 8 others are under way", False)
        }
        assert not any(sent.done() for sent in again[:calls])
        receiver.silent = False
        for purpose in (Purpose.NEW, Purpose.TEST):
            assert (
                await endpoints.send("w", receiver.url, [KEY], event_id="e", body=BODY, purpose=purpose)
                == Answer()
            )
        await endpoints.aclose()
        assert {(await sent).sent for sent in again[:calls]} == {True}


async def test_what_is_under_way_to_a_webhook_that_is_forgotten_comes_to_its_end(
    endpoints: Endpoints,
) -> None:
    """As when a webhook is disabled just after a test was sent."""
    asked, answer, hung_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await answer.wait()
        writer.write(b"HTTP/1.1 204 Said\r\n\r\n")
        while await reader.read(1024):
            pass
        hung_up.set()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    async with server, asyncio.timeout(HANG_S):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        sending = asyncio.create_task(send(endpoints, url))
        await asked.wait()
        endpoints.forget("w")
        answer.set()
        assert await sending == Answer()
        await hung_up.wait()


async def test_connections_of_webhooks_long_unused_are_closed(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_endpoints, "KEPT", 2)
    async with receiving() as receiver:
        for webhook_id in ("a", "b", "c", "a"):
            assert (
                await endpoints.send(
                    webhook_id, receiver.url, [KEY], event_id="e", body=BODY, purpose=Purpose.NEW
                )
                == Answer()
            )
    assert len(endpoints._known) == 2


def test_the_receiver_of_these_tests_refuses_a_signature_that_does_not_fit() -> None:
    secret = "whsec_" + base64.b64encode(KEY.secret).decode()
    headers = signed_headers([KEY], message_id="e", timestamp=1, body=BODY)
    assert fits(secret, headers, BODY)
    assert not fits(secret, headers, BODY + b" ")
    assert not fits(secret, {**headers, "webhook-timestamp": "2"}, BODY)
    assert not fits("whsec_" + "QUFB" * 8, headers, BODY)
