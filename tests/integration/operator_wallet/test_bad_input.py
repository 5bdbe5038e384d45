"""The reference wallet and nonsense: bodies, sizes, addresses and raw bytes."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.integration.operator_wallet.calls import FUNDS, post, refused, said
from tests.support.conditions import HANG_S
from tests.support.operator_wallet import RunningWallet, bet


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: b"",
        lambda body: b"[]",
        lambda body: b"\xff\xfe",
        lambda body: b"[" * 60_000,
        lambda body: json.dumps({**body, "amount": 1.5}).encode(),
        lambda body: json.dumps({**body, "amount": 100.0}).encode(),
        lambda body: json.dumps({**body, "amount": "100"}).encode(),
        lambda body: json.dumps({**body, "amount": True}).encode(),
        lambda body: json.dumps({**body, "amount": None}).encode(),
        lambda body: json.dumps({**body, "amount": -1}).encode(),
        lambda body: json.dumps({**body, "amount": 2**63}).encode(),
        lambda body: json.dumps({**body, "amount": 1}).replace("1}", "9" * 5_000 + "}").encode(),
        lambda body: json.dumps({**body, "amount": float("nan")}).encode(),
        lambda body: json.dumps({**body, "bonus": 1}).encode(),
        lambda body: json.dumps({**body, "player_id": ""}).encode(),
        lambda body: json.dumps({**body, "player_id": "\ud800"}).encode(),
        lambda body: json.dumps({**body, "player_id": "a\x00b"}).encode(),
        lambda body: json.dumps({**body, "player_id": "a" * 256}).encode(),
        lambda body: json.dumps({name: body[name] for name in body if name != "round_id"}).encode(),
        lambda body: json.dumps(body).replace("{", '{"amount": 1, ').encode(),
        lambda body: json.dumps(body).encode("utf-16"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused(
    wallet: RunningWallet, spoil: Callable[[dict[str, Any]], bytes]
) -> None:
    before = len(wallet.book.statement(limit=10_000))
    content = spoil(bet())
    assert await post(wallet, "bet", content, wallet.signed(content)) == (422, refused("invalid"))
    assert len(wallet.book.statement(limit=10_000)) == before


async def test_the_largest_amount_is_an_amount(wallet: RunningWallet, player: str) -> None:
    body = bet(2**63 - 1, player_id=player)
    assert said(await wallet.call("bet", body)) == (402, refused("insufficient-funds", FUNDS))


async def test_a_body_of_more_than_64_kib_is_not_read(wallet: RunningWallet) -> None:
    content = json.dumps(bet()).encode()
    fits, over = content.ljust(64 * 1024), content.ljust(64 * 1024 + 1)
    assert (await post(wallet, "bet", fits, wallet.signed(fits)))[0] == 403
    assert await post(wallet, "bet", over, wallet.signed(over)) == (413, refused("invalid"))


async def test_other_addresses_and_methods(wallet: RunningWallet) -> None:
    assert (await wallet.client.get(f"{wallet.url}/bet")).status_code == 405
    assert (await wallet.client.post(f"{wallet.url}/statement")).status_code == 405
    assert (await wallet.client.post(f"{wallet.url}/deposit")).status_code == 404
    assert (await wallet.client.get(f"{wallet.url}/healthz")).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b" 400 "),
        (b"GET /healthz HTTP/1.1\r\nx: " + b"y" * 20_000, b" 431 "),
        (b"POST /bet HTTP/1.1\r\ncontent-length: x\r\n\r\n", b" 400 "),
        (b"GET /healthz HTTP/1.1\r\n\r\n" * 2, b" 200 "),
    ],
)
async def test_raw_bytes(wallet: RunningWallet, sent: bytes, status: bytes) -> None:
    url = httpx.URL(wallet.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(sent)
    assert status in await asyncio.wait_for(reader.readline(), HANG_S)
    writer.close()
