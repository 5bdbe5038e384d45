"""How certify reads a wallet's answers, strictly, and what it shows of them."""

import pytest

from certification.caller import HIDDEN, SHOWN_LIMIT, Caller, NoAnswerOfOurs, read
from security.standard_webhooks import SharedSecret
from tests.support.http import http_client


@pytest.mark.parametrize(
    ("status", "encoding", "body", "why"),
    [
        (200, "", b"", "no JSON"),
        (200, "", b"<html>", "no JSON"),
        (200, "", b"[]", "no JSON object"),
        (200, "", b"\xff", "UTF-8"),
        (200, "", b'{"balance": 1, "balance": 2, "currency": "EUR"}', "twice"),
        (200, "", b'{"balance": NaN, "currency": "EUR"}', "no JSON"),
        (200, "", b'{"balance": 1.0, "currency": "EUR"}', "no integer"),
        (200, "", b'{"balance": true, "currency": "EUR"}', "no integer"),
        (200, "", b'{"balance": "1", "currency": "EUR"}', "no integer"),
        (200, "", b'{"balance": 1}', '"currency"'),
        (200, "", b'{"balance": 1, "currency": "EUR", "transaction_id": 7}', "transaction_id"),
        (200, "", b'{"balance": 1, "currency": "EUR", "duplicate": 1}', "duplicate"),
        (200, "gzip", b"", "compressed"),
        (200, "", b" " * 65_537, "64 KiB"),
        (503, "", b"{}", "no status 503"),
        (307, "", b"{}", "no status 307"),
        (402, "", b"{}", "status 402"),
        (402, "", b'{"code": "id-reused"}', "status 402"),
        (402, "", b'{"code": "insufficient-funds", "balance": "1"}', "no integer"),
    ],
)
def test_answers_are_read_strictly(status: int, encoding: str, body: bytes, why: str) -> None:
    with pytest.raises(NoAnswerOfOurs, match=why):
        read(status, encoding, body)


def test_answers_of_the_protocol_are_read() -> None:
    taken = read(200, "identity", b'{"balance": 5, "currency": "EUR", "more": 1.5}')
    assert (taken.taken, taken.balance, taken.currency, taken.duplicate) == (True, 5, "EUR", False)
    refused = read(402, "", b'{"code": "insufficient-funds", "balance": 5}')
    assert (refused.taken, refused.code, refused.balance) == (False, "insufficient-funds", 5)


async def test_what_is_shown_is_one_bounded_line_without_the_secret() -> None:
    text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    async with http_client() as client:
        caller = Caller(client, "https://wallet.example", SharedSecret.parse(text), text)
    assert caller.shown(f"a\x1b[31m\n{text}") == f"a [31m {HIDDEN}"
    assert caller.shown(text.removeprefix("whsec_")) == HIDDEN
    assert len(caller.shown("x" * 10_000)) == SHOWN_LIMIT
