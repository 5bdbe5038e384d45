"""The client against wallets that do what wallets do, and all that they should not."""

import asyncio
import gzip
import json
import time
import tracemalloc
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.wallet import WalletAnswer, WalletCall, WalletVerdict
from security.standard_webhooks import PrivateKey, PublicKey, SharedSecret, verify
from tests.integration.wallet.client.scripted import (
    BET,
    DIALECTS,
    FINE,
    SECRET,
    SHORT,
    Ask,
    Say,
    answer,
    check_unknown,
    config,
    says,
    wallet,
)
from tests.support.conditions import HANG_S
from wallet.operator_http import OperatorWallets

# What should be


async def test_a_bet_is_signed_over_its_raw_body_and_answered(wallets: OperatorWallets) -> None:
    async with wallet(says(answer())) as served:
        found = await wallets.call(config(f"{served.url}/api/v1/"), BET)
        assert found == WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=9900, wallet_transaction_id="w1")
        ((first, headers, body),) = served.requests
        assert first == "POST /api/v1/bet HTTP/1.1"
        assert verify([SharedSecret.parse(SECRET)], headers, body, now=time.time) == BET.transaction_id
        assert headers["accept-encoding"] == "identity"
        assert headers["content-type"] == "application/json"


async def test_a_repeat_has_the_same_id_and_body_and_uses_the_same_connection(
    wallets: OperatorWallets,
) -> None:
    async with wallet(says(answer(FINE, "200 OK", "Set-Cookie: a=b; Path=/"))) as served:
        for _ in range(3):
            await wallets.call(config(served.url), BET)
        assert served.connections == 1
        assert len({(headers["webhook-id"], body) for _, headers, body in served.requests}) == 1
        assert all("cookie" not in headers for _, headers, _ in served.requests)


async def test_each_call_that_moves_nothing_has_an_id_of_its_own(wallets: OperatorWallets) -> None:
    balance = replace(BET, call=WalletCall.BALANCE, transaction_id=None)
    async with wallet(says(answer())) as served:
        for _ in range(2):
            await wallets.call(config(served.url), balance)
        assert len({headers["webhook-id"] for _, headers, _ in served.requests}) == 2


async def test_the_house_signs_with_ed25519_where_the_dialect_asks_for_it() -> None:
    key = Ed25519PrivateKey.generate()
    wallets = OperatorWallets(DIALECTS, platform_keys=[PrivateKey(key)])
    micro = json.dumps({"balance": {"amount": 99_000_000, "currency": "EUR"}}).encode()
    async with wallet(says(answer(micro))) as served:
        found = await wallets.call(config(served.url, dialect="rgs_micro"), BET)
        _, headers, body = served.requests[0]
    assert found.balance == 9900
    assert headers["webhook-signature"].startswith("v1a,")
    assert " " not in headers["webhook-signature"]
    verify([PublicKey(key.public_key())], headers, body, now=time.time)
    await wallets.aclose()


async def test_static_headers_of_a_dialect_are_sent(wallets: OperatorWallets) -> None:
    said = json.dumps({"status": "OK", "balance": "99.00", "currency": "EUR"}).encode()
    async with wallet(says(answer(said))) as served:
        found = await wallets.call(config(served.url, dialect="decimal_aggregator"), BET)
        assert (found.balance, served.requests[0][1]["x-api-version"]) == (9900, "1")


async def test_a_refusal_is_clear(ask: Ask) -> None:
    said = json.dumps({"code": "insufficient-funds", "balance": 5}).encode()
    found = await ask(says(answer(said, "402 Payment Required")))
    assert (found.verdict, found.code, found.balance) == (WalletVerdict.REFUSED, "insufficient-funds", 5)


async def test_http_1_0_without_a_length_is_read_to_its_end(ask: Ask) -> None:
    found = await ask(says(b"HTTP/1.0 200 OK\r\n\r\n" + FINE, then_close=True))
    assert found.verdict is WalletVerdict.ACCEPTED


# What should not be


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (answer(b"<html><script>alert(1)</script>\x00\x1b</html>"), "not-json"),
        (answer(b""), "empty"),
        (answer(b'{"balance": 99.0, "currency": "EUR"}'), "bad-amount"),
        (answer(b'{"balance": 9900, "currency": "USD"}'), "other-currency"),
        (answer(b'{"balance": 1, "balance": 2, "currency": "EUR"}'), "not-json"),
        (answer(b'{"balance": ' + b"9" * 9000 + b', "currency": "EUR"}'), "not-json"),
        (answer(b'{"balance": NaN, "currency": "EUR"}'), "not-json"),
        (answer(b"\xff\xfe{}"), "not-json"),
        (answer(b"[" * 60_000), "not-json"),
        (answer(b"", "204 No Content", length=False), "status-204"),
        (answer(b"<html>", "500 Internal Server Error"), "status-500"),
        (answer(b"<html>", "503 Service Unavailable", "Retry-After: 9999"), "status-503"),
        (answer(b"<", "502 Bad Gateway", "Content-Length: 10485760", length=False), "status-502"),
        (answer(FINE, "201 Created"), "status-201"),
        (answer(b"", "302 Found", "Location: http://[bad"), "status-302"),
        (answer(gzip.compress(FINE), "200 OK", "Content-Encoding: gzip"), "encoded"),
        (answer(FINE, "200 OK", "Content-Encoding: br"), "encoded"),
        (b"HTTP/1.1 abc\r\n\r\n", "connection-lost"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "connection-lost"),
        (b"\x00\x01\x02" * 100 + b"\r\n\r\n", "connection-lost"),
        (answer(FINE, "200 OK", "Content-Length: 5"), "connection-lost"),
        (answer(FINE, "200 OK", "Bad Header\x01: x"), "connection-lost"),
        (answer(b"zz\r\n", "200 OK", "Transfer-Encoding: chunked", length=False), "connection-lost"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_unknown(ask: Ask, said: bytes, code: str) -> None:
    check_unknown(await ask(says(said)), code)


@pytest.mark.parametrize("said", [b"", answer()[:40], answer()[:-5]], ids=["nothing", "headers", "body"])
async def test_a_connection_that_is_reset_is_unknown(ask: Ask, said: bytes) -> None:
    check_unknown(await ask(says(said, then_close=True)), "connection-lost")


async def test_a_redirect_is_not_followed(wallets: OperatorWallets) -> None:
    async with wallet(says(answer())) as target:
        for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            said = answer(b"", status, f"Location: {target.url}/bet")
            async with wallet(says(said)) as served:
                found = await wallets.call(config(served.url), BET)
                check_unknown(found, f"status-{status[:3]}")
        assert target.connections == 0


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"]
)
async def test_ten_megabytes_are_not_read(wallets: OperatorWallets, head: bytes) -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(160):
            writer.write(b"9" * 65536)
            await writer.drain()

    async with wallet(say) as served:
        found = await wallets.call(config(served.url), BET)
        check_unknown(found, "too-large")
        # The client hung up instead of reading on.
        await asyncio.wait_for(served.ended.wait(), HANG_S)


async def test_many_that_send_too_much_stay_bounded_in_memory(wallets: OperatorWallets) -> None:
    bomb = answer(gzip.compress(bytes(50_000_000)), "200 OK", "Content-Encoding: gzip")
    large = answer(b"9" * 10_000_000)
    async with wallet(says(bomb)) as packed, wallet(says(large)) as plain:
        tracemalloc.start()
        for operator_id, served, code in (("a", packed, "encoded"), ("b", plain, "too-large")):
            for _ in range(5):
                found = await wallets.call(config(served.url, operator_id=operator_id), BET)
                check_unknown(found, code)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # The server's own buffers are in it, too: they hold at most one answer of 10 MB for each connection.
    assert peak < 30_000_000


@pytest.mark.parametrize(
    "say",
    [
        says(answer()[:20], pause_s=600),
        says(*(bytes([byte]) for byte in answer()), pause_s=0.1),
        says(answer(b"x" * 60_000)[:200], *([b"x" * 100] * 600), pause_s=0.1),
        says(*([b"HTTP/1.1 102 Processing\r\n\r\n"] * 600), pause_s=0.05),
        says(b"", pause_s=600),
    ],
    ids=["slow headers", "dripping headers", "dripping body", "endless interim answers", "silence"],
)
async def test_slow_is_a_time_out_within_the_total_limit(wallets: OperatorWallets, say: Say) -> None:
    async with wallet(say) as served, asyncio.timeout(HANG_S / 2):
        found = await wallets.call(config(served.url, limits=SHORT), BET)
        while not found.sent:  # the machine stood still before anything had left
            found = await wallets.call(config(served.url, limits=SHORT), BET)
        check_unknown(found, "timeout")


async def test_headers_without_end_are_bounded(ask: Ask) -> None:
    check_unknown(
        await ask(says(b"HTTP/1.1 200 OK\r\n", *([b"X-A: " + b"a" * 60_000 + b"\r\n"] * 100))),
        "connection-lost",
    )


async def test_nobody_listening_means_nothing_was_sent(wallets: OperatorWallets) -> None:
    async with wallet(says()) as served:
        url = served.url
    check_unknown(await wallets.call(config(url), BET), "not-reached", sent=False)


async def test_a_currency_that_the_wallet_cannot_be_told_is_refused_unsent(wallets: OperatorWallets) -> None:
    async with wallet(says(answer())) as served:
        for currency in ("XXX", "euro"):
            found = await wallets.call(config(served.url), replace(BET, currency=currency))
            assert (found.verdict, found.code, found.sent) == (WalletVerdict.REFUSED, "invalid", False)
        assert served.requests == []
