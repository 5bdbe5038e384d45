"""The reference wallet over HTTP: every call and refusal, signatures, nonsense, and each fault, which is
proven to have come about and to have left in the book what it says.
"""

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.wallet import WalletCall, WalletRequest
from runtime.settings import PROJECT_ROOT
from security.standard_webhooks import PrivateKey, SharedSecret, signed_headers
from tests.support.commands import invoke
from tests.support.conditions import HANG_S, until
from tests.support.operator_wallet import (
    OPERATOR,
    RunningWallet,
    bet,
    new_secret,
    rollback,
    running_wallet,
    subject,
    win,
)

FUNDS = 10_000


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[RunningWallet]:
    async with running_wallet() as wallet:
        yield wallet


@pytest.fixture
async def wallet(server: RunningWallet) -> AsyncIterator[RunningWallet]:
    yield server
    await server.clear_faults()


@pytest.fixture
def player(wallet: RunningWallet) -> str:
    """A player of this test alone, with FUNDS."""
    player_id = uuid4().hex
    wallet.open_player(player_id, FUNDS)
    return player_id


def said(answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    return answer.status_code, answer.json()


def refused(code: str, balance: int | None = None) -> dict[str, Any]:
    return {"code": code} if balance is None else {"code": code, "balance": balance}


# The five calls


async def test_a_round_from_authenticate_to_win(wallet: RunningWallet, player: str) -> None:
    asked = subject(player_id=player)
    standing = {"balance": FUNDS, "currency": "EUR", "transaction_id": None, "duplicate": False}
    assert said(await wallet.call("authenticate", asked)) == (200, standing)
    assert said(await wallet.call("balance", asked)) == (200, standing)
    stake = bet(100, player_id=player)
    status, body = said(await wallet.call("bet", stake))
    number = body.pop("transaction_id")
    assert (status, body) == (200, {"balance": FUNDS - 100, "currency": "EUR", "duplicate": False})
    assert number == str(wallet.book.statement(transaction_id=stake["transaction_id"])[0].number)
    assert (await wallet.call("win", win(stake, 250))).json()["balance"] == FUNDS + 150
    assert (await wallet.call("bet", stake)).json() == {
        "balance": FUNDS + 150,
        "currency": "EUR",
        "transaction_id": number,
        "duplicate": True,
    }


async def test_a_rollback_with_and_without_its_bet(wallet: RunningWallet, player: str) -> None:
    stake = bet(100, player_id=player)
    await wallet.call("bet", stake)
    assert (await wallet.call("rollback", rollback(stake))).json()["balance"] == FUNDS
    never = bet(100, player_id=player)
    assert (await wallet.call("rollback", rollback(never))).json()["balance"] == FUNDS
    assert said(await wallet.call("bet", never)) == (409, refused("rolled-back", FUNDS))


async def test_a_rollback_with_a_wrong_amount_uses_the_bets(wallet: RunningWallet, player: str) -> None:
    stake = bet(100, player_id=player)
    await wallet.call("bet", stake)
    assert (await wallet.call("rollback", rollback(stake, amount=9_999))).json()["balance"] == FUNDS


async def test_every_refusal_has_its_status_and_code(wallet: RunningWallet, player: str) -> None:
    taken, won, undone = (bet(100, player_id=player) for _ in range(3))
    for stake in (taken, won, undone):
        await wallet.call("bet", stake)
    await wallet.call("win", win(won, 0))
    await wallet.call("rollback", rollback(undone))
    left = FUNDS - 200
    cases = [
        ("bet", bet(FUNDS, player_id=player), 402, "insufficient-funds"),
        ("win", win(bet(player_id=player)), 404, "unknown-transaction"),
        ("bet", {**taken, "amount": 1}, 409, "id-reused"),
        ("win", win(undone), 409, "rolled-back"),
        ("rollback", rollback(won), 409, "already-won"),
        ("bet", bet(player_id=player, currency="USD"), 422, "currency-mismatch"),
    ]
    for call, body, status, code in cases:
        assert said(await wallet.call(call, body)) == (status, refused(code, left)), (call, code)
    wallet.book.block_player(OPERATOR, player, blocked=True)
    assert said(await wallet.call("bet", bet(player_id=player))) == (403, refused("player-blocked", left))
    session = uuid4().hex
    wallet.book.end_session(OPERATOR, session)
    late = bet(player_id=player, session_id=session)
    assert said(await wallet.call("bet", late)) == (401, refused("session-expired", left))
    assert (await wallet.call("win", win(taken, 100, session_id=session))).status_code == 200
    assert wallet.balance(player) == left + 100


async def test_ten_bets_and_a_hundred_repeats_at_once(wallet: RunningWallet, player: str) -> None:
    stakes = [bet(100, player_id=player) for _ in range(10)]
    await asyncio.gather(*(wallet.call("bet", stake) for stake in stakes))
    assert wallet.balance(player) == FUNDS - 1_000
    one = bet(100, player_id=player)
    answers = await asyncio.gather(*(wallet.call("bet", one) for _ in range(100)))
    assert [answer.json()["duplicate"] for answer in answers].count(False) == 1
    assert wallet.balance(player) == FUNDS - 1_100


# Who is asking


async def post(
    wallet: RunningWallet, call: str, content: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    return said(await wallet.client.post(f"{wallet.url}/{call}", content=content, headers=headers))


async def test_a_signature_that_does_not_fit_is_refused_whatever_the_body(
    wallet: RunningWallet, player: str
) -> None:
    content = json.dumps(bet(player_id=player)).encode()
    good = wallet.signed(content)
    stranger = signed_headers(
        [SharedSecret.parse(new_secret())], message_id="m", timestamp=1, body=content
    ) | {"webhook-timestamp": good["webhook-timestamp"]}
    cases: dict[str, tuple[bytes, dict[str, str]]] = {
        "no headers": (content, {}),
        "a tampered byte": (content.replace(b"100", b"900"), good),
        "a space more": (content + b" ", good),
        "another id": (content, {**good, "webhook-id": "other"}),
        "another time": (content, {**good, "webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)}),
        "too old": (content, wallet.signed(content, age_s=301)),
        "too new": (content, wallet.signed(content, age_s=-310)),
        "another key": (content, stranger),
        "no base64": (content, {**good, "webhook-signature": "v1,???"}),
        "another version": (
            content,
            {**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v2,")},
        ),
        "nonsense, unsigned": (b"{", {}),
    }
    for name, (body, headers) in cases.items():
        assert await post(wallet, "bet", body, headers) == (401, refused("bad-signature")), name
    assert wallet.balance(player) == FUNDS
    assert (await post(wallet, "bet", content, wallet.signed(content, age_s=290)))[0] == 200


async def test_one_of_several_signatures_is_enough(wallet: RunningWallet, player: str) -> None:
    content = json.dumps(bet(player_id=player)).encode()
    good = wallet.signed(content)
    good["webhook-signature"] = f"v1,{base64.b64encode(bytes(32)).decode()} {good['webhook-signature']}"
    assert (await post(wallet, "bet", content, good))[0] == 200


async def test_croupier_may_sign_with_a_key_of_its_own() -> None:
    key = Ed25519PrivateKey.generate()
    public = "whpk_" + base64.b64encode(key.public_key().public_bytes_raw()).decode()
    async with running_wallet("--public-key", public, "--new-players", "500") as wallet:
        content = json.dumps(bet()).encode()
        now = int(wallet.signed(content)["webhook-timestamp"])
        headers = signed_headers([PrivateKey(key)], message_id="m", timestamp=now, body=content)
        status, body = await post(wallet, "bet", content, headers)
        assert (status, body["balance"]) == (200, 400)


# Which call was signed


async def test_a_signed_win_that_is_sent_as_a_rollback_or_a_bet_moves_nothing(
    wallet: RunningWallet, player: str
) -> None:
    """The interleaving: somebody on the way holds a genuine win up, and sends its very bytes elsewhere."""
    stake = bet(100, player_id=player)
    await wallet.call("bet", stake)
    captured = win(stake, 5_000)
    content = json.dumps(captured).encode()
    headers = wallet.signed(content, message_id=captured["transaction_id"])
    for call in ("rollback", "bet", "authenticate", "balance"):
        assert await post(wallet, call, content, headers) == (422, refused("invalid")), call
    assert wallet.balance(player) == FUNDS - 100
    assert await post(wallet, "win", content, headers) == (
        200,
        {
            "balance": FUNDS + 4_900,
            "currency": "EUR",
            "transaction_id": str(wallet.book.statement(transaction_id=captured["transaction_id"])[0].number),
            "duplicate": False,
        },
    )


async def test_a_body_that_does_not_say_its_call_is_refused(wallet: RunningWallet, player: str) -> None:
    stake = bet(100, player_id=player)
    for said_call in ("win", "", None, "BET", ["bet"]):
        wrong = {**stake, "call": said_call}
        assert said(await wallet.call("bet", wrong)) == (422, refused("invalid")), said_call
    silent = json.dumps({name: value for name, value in stake.items() if name != "call"}).encode()
    assert await post(wallet, "bet", silent, wallet.signed(silent)) == (422, refused("invalid"))
    asked = json.dumps({"call": "balance", **subject(player_id=player)}).encode()
    assert await post(wallet, "authenticate", asked, wallet.signed(asked)) == (422, refused("invalid"))
    assert wallet.balance(player) == FUNDS


# Nonsense


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


# The statement


async def test_a_statement_is_signed_over_its_target(wallet: RunningWallet, player: str) -> None:
    stake = bet(100, player_id=player)
    await wallet.call("bet", stake)
    status, body = said(await wallet.statement(f"round_id={stake['round_id']}"))
    assert status == 200
    (item,) = body["items"]
    at = item.pop("at")
    assert item == {
        "wallet_transaction_id": item["wallet_transaction_id"],
        "operator_id": OPERATOR,
        "player_id": player,
        "transaction_id": stake["transaction_id"],
        "call": "bet",
        "round_id": stake["round_id"],
        "game_id": "dice",
        "bet_transaction_id": None,
        "currency": "EUR",
        "moved": -100,
        "balance": FUNDS - 100,
    }
    later = f"player_id={player}&from={quote(at)}&to=2999-01-01T00:00:00%2B00:00"
    assert [entry["call"] for entry in (await wallet.statement(later)).json()["items"]][-1] == "bet"
    for query in (
        "x=1",
        "from=today",
        "from=2030-01-01T00:00:00",
        "cursor=-1",
        "round_id=",
        "&",
        "to=1&to=2",
    ):
        assert said(await wallet.statement(query)) == (422, refused("invalid")), query
    signed = wallet.signed(b"/statement?round_id=mine")
    other = await wallet.client.get(f"{wallet.url}/statement?round_id=other", headers=signed)
    assert said(other) == (401, refused("bad-signature"))


async def test_a_statement_is_read_on_until_its_end(wallet: RunningWallet, player: str) -> None:
    for _ in range(249):
        wallet.book.bet(_as_request(bet(1, player_id=player)))
    pages, cursor = [], "0"
    while cursor is not None:
        page = (await wallet.statement(f"player_id={player}&cursor={cursor}")).json()
        pages.append(page["items"])
        cursor = page["next_cursor"]
    assert [len(page) for page in pages] == [100, 100, 50]
    assert sum(item["moved"] for page in pages for item in page) == FUNDS - 249


def _as_request(body: dict[str, Any]) -> WalletRequest:
    return WalletRequest(**{**body, "call": WalletCall(body["call"])})


# The control interface


async def test_control_needs_its_token(wallet: RunningWallet) -> None:
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": wallet.control_token}):
        answer = await wallet.client.get(f"{wallet.url}/control/faults", headers=headers)
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "plan",
    [
        {"rates": {"nothing": 1}},
        {"rates": {"slow": 0.6, "html": 0.5}},
        {"rates": {"slow": -1}},
        {"rates": ["slow"]},
        {"only": ["deposit"]},
        {"script": ["slow"]},
        {"script": [{"call": "bet"}]},
        {"slow_s": 10_000},
        {"seed": "x"},
        {"more": 1},
    ],
)
async def test_a_plan_that_does_not_fit_is_refused(wallet: RunningWallet, plan: dict[str, Any]) -> None:
    answer = await wallet.client.post(
        f"{wallet.url}/control/faults",
        content=json.dumps(plan).encode(),
        headers={"Authorization": f"Bearer {wallet.control_token}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["detail"]


async def test_players_and_sessions_can_be_ordered(wallet: RunningWallet) -> None:
    async def order(path: str, **body: Any) -> int:
        answer = await wallet.client.post(
            wallet.url + path,
            content=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {wallet.control_token}"},
        )
        return answer.status_code

    whom = {"operator_id": OPERATOR, "player_id": uuid4().hex}
    session = uuid4().hex
    assert await order("/control/players", **whom, balance=50, currency="USD") == 200
    assert await order("/control/players", **whom, balance=50) == 422
    stake = bet(10, player_id=whom["player_id"], currency="USD", session_id=session)
    assert (await wallet.call("bet", stake)).json()["balance"] == 40
    assert await order("/control/players", **whom, blocked=True) == 200
    late = bet(10, player_id=whom["player_id"], currency="USD", session_id=session)
    assert (await wallet.call("bet", late)).json() == refused("player-blocked", 40)
    assert await order("/control/sessions/end", operator_id=OPERATOR, session_id=session) == 200
    assert (await wallet.call("bet", late)).json() == refused("session-expired", 40)


# Faults: each comes about, is counted, and leaves what it says


async def meet(
    wallet: RunningWallet, kind: str, body: dict[str, Any], *, patience_s: float = HANG_S, **plan: Any
) -> httpx.Response | None:
    """The answer to a bet that meets the fault, or None when the connection broke or stayed silent. A bet
    after it goes well: the script has one cue."""
    await wallet.set_faults(script=[{"kind": kind}], **plan)
    try:
        return await wallet.call("bet", body, timeout_s=patience_s)
    except httpx.TransportError:
        return None


@pytest.mark.parametrize(
    ("kind", "status", "processed"),
    [
        ("processed-then-timeout", None, True),
        ("error-before", 503, False),
        ("error-after", 503, True),
        ("reset-mid-body", None, True),
        ("wrong-amount", 200, True),
        ("duplicate-answer", 200, True),
        ("no-funds", 402, False),
        ("html", 200, True),
        ("empty", 200, True),
        ("redirect", 307, False),
        ("huge", 200, True),
    ],
)
async def test_a_fault_comes_about_and_leaves_what_it_says(
    wallet: RunningWallet, player: str, kind: str, status: int | None, processed: bool
) -> None:
    body = bet(100, player_id=player)
    answer = await meet(wallet, kind, body, patience_s=HANG_S if status else 1)
    assert (answer.status_code if answer is not None else None) == status
    await wallet.until_fired(kind)
    report = await wallet.faults()
    assert report["fired"] == {kind: {"bet": 1}}
    assert (report["total"], report["under_way"]) == (1, 0)
    assert report["latest"] == [{"kind": kind, "call": "bet", "transaction_id": body["transaction_id"]}]
    assert wallet.moved(body["transaction_id"]) == (-100 if processed else None)
    repeat = (await wallet.call("bet", body)).json()
    assert (repeat["duplicate"], repeat["balance"]) == (processed, FUNDS - 100)
    assert (await wallet.faults())["total"] == 1


async def test_processed_after_the_client_has_given_up(wallet: RunningWallet, player: str) -> None:
    body = bet(100, player_id=player)
    assert await meet(wallet, "timeout-then-processed", body, patience_s=0.1, delay_s=3) is None
    assert wallet.moved(body["transaction_id"]) is None
    await wallet.until_fired("timeout-then-processed")
    assert wallet.moved(body["transaction_id"]) == -100


async def test_slow_is_slow(wallet: RunningWallet, player: str) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await meet(wallet, "slow", bet(100, player_id=player), slow_s=0.3)
    assert answer is not None
    assert answer.json()["balance"] == FUNDS - 100
    assert loop.time() - began >= 0.3
    assert await wallet.fired("slow") == 1


async def test_a_slow_call_is_processed_though_the_client_left(wallet: RunningWallet, player: str) -> None:
    body = bet(100, player_id=player)
    assert await meet(wallet, "slow", body, patience_s=0.1, slow_s=2) is None
    await wallet.until_fired("slow")
    assert wallet.moved(body["transaction_id"]) == -100


async def test_a_bet_is_overtaken_by_its_rollback(wallet: RunningWallet, player: str) -> None:
    await wallet.set_faults(script=[{"kind": "out-of-order", "call": "bet"}], hold_s=HANG_S)
    stake = bet(100, player_id=player)
    held = asyncio.create_task(wallet.call("bet", stake))

    async def under_way() -> bool:
        return bool((await wallet.faults())["under_way"])

    await until(under_way)
    assert (await wallet.call("rollback", rollback(stake))).json()["balance"] == FUNDS
    assert said(await held) == (409, refused("rolled-back", FUNDS))
    assert await wallet.fired("out-of-order") == 1


async def test_nobody_overtaking_is_no_fault(wallet: RunningWallet, player: str) -> None:
    answer = await meet(wallet, "out-of-order", bet(100, player_id=player), hold_s=0.1)
    assert answer is not None
    assert answer.json()["balance"] == FUNDS - 100
    assert (await wallet.faults())["total"] == 0


async def test_wrong_amounts_are_of_every_wrong_kind(wallet: RunningWallet, player: str) -> None:
    await wallet.set_faults(rates={"wrong-amount": 1})
    seen = set()
    for _ in range(40):
        answer = (await wallet.call("bet", bet(1, player_id=player))).json()
        seen.add((type(answer["balance"]).__name__, answer["currency"]))
    assert seen == {("float", "EUR"), ("str", "EUR"), ("int", "USD")}


async def test_reset_leaves_half_a_body(wallet: RunningWallet, player: str) -> None:
    await wallet.set_faults(script=[{"kind": "reset-mid-body"}])
    content = json.dumps(bet(player_id=player)).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in wallet.signed(content).items())
    url = httpx.URL(wallet.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        f"POST /bet HTTP/1.1\r\nhost: w\r\ncontent-length: {len(content)}\r\n{head}\r\n".encode() + content
    )
    answer = await reader.readuntil(b"\r\n\r\n")
    promised = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    half = await reader.readexactly(promised // 2)
    assert half.startswith(b'{"balance"')
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_the_huge_answer_is_right_but_huge(wallet: RunningWallet, player: str) -> None:
    answer = await meet(wallet, "huge", bet(100, player_id=player))
    assert answer is not None
    assert answer.json()["balance"] == FUNDS - 100
    assert len(answer.content) > 64 * 1024


async def test_a_bet_that_was_taken_is_never_denied_for_funds(wallet: RunningWallet, player: str) -> None:
    stake = bet(100, player_id=player)
    await wallet.call("bet", stake)
    answer = await meet(wallet, "no-funds", stake)
    assert answer is not None
    assert answer.json()["duplicate"]
    assert (await wallet.faults())["total"] == 0


async def test_a_script_waits_for_the_requests_that_it_names(wallet: RunningWallet, player: str) -> None:
    first, second = bet(100, player_id=player), bet(100, player_id=player)
    await wallet.set_faults(
        script=[
            {"kind": "error-after", "call": "win"},
            {"kind": "error-before", "transaction_id": second["transaction_id"]},
            {"kind": None, "call": "bet"},
            {"kind": "html", "call": "bet"},
        ]
    )
    assert (await wallet.call("bet", first)).status_code == 200
    assert (await wallet.call("bet", second)).status_code == 503
    assert (await wallet.call("bet", second)).headers["content-type"] == "text/html"
    assert (await wallet.call("win", win(first))).status_code == 503
    assert (await wallet.call("win", win(first, transaction_id="x"))).json()["code"] == "already-won"
    assert (await wallet.faults())["fired"] == {
        "error-after": {"win": 1},
        "error-before": {"bet": 1},
        "html": {"bet": 1},
    }


async def test_a_seed_gives_the_same_calls_the_same_faults(wallet: RunningWallet) -> None:
    player = uuid4().hex
    wallet.open_player(player, FUNDS)
    bodies = [bet(1, player_id=player) for _ in range(60)]

    async def run(seed: int, order: list[dict[str, Any]]) -> dict[str, int]:
        await wallet.set_faults(seed=seed, rates={"error-before": 0.3, "empty": 0.2}, only=["bet"])
        answers = await asyncio.gather(*(wallet.call("bet", body) for body in order))
        assert (await wallet.call("balance", subject(player_id=player))).status_code == 200
        return {
            body["transaction_id"]: answer.status_code if answer.content else 0
            for body, answer in zip(order, answers, strict=True)
        }

    once = await run(7, bodies)
    assert await run(7, bodies[::-1]) == once
    assert await run(8, bodies) != once
    assert {0, 200, 503} == set(once.values())


async def test_faults_end_with_their_count_and_on_request(wallet: RunningWallet, player: str) -> None:
    await wallet.set_faults(rates={"error-before": 1}, until_count=3)
    bodies = [bet(1, player_id=player) for _ in range(10)]
    answers = await asyncio.gather(*(wallet.call("bet", body) for body in bodies))
    assert [answer.status_code for answer in answers].count(503) == 3
    await wallet.set_faults(rates={"error-before": 1})
    await wallet.call("bet", bet(1, player_id=player))
    await wallet.clear_faults()
    assert (await wallet.call("bet", bet(1, player_id=player))).status_code == 200
    assert (await wallet.faults())["total"] == 1


# The process


async def test_it_ends_in_order_and_finds_its_book_again() -> None:
    async with running_wallet("--new-players", "10000") as wallet:
        await wallet.set_faults(script=[{"kind": "slow"}, {"kind": "processed-then-timeout"}], slow_s=3)
        stake = bet(100)
        slow = asyncio.create_task(wallet.call("bet", stake))

        async def under_way() -> bool:
            return bool((await wallet.faults())["under_way"])

        await until(under_way)
        silent = asyncio.create_task(wallet.call("bet", bet(100)))
        await wallet.until_fired("processed-then-timeout")
        assert await wallet.stop() == 0
        assert (await slow).json()["currency"] == "EUR"
        with pytest.raises(httpx.TransportError):
            await silent
        await wallet.start()
        assert (await wallet.call("bet", stake)).json()["duplicate"]
        assert wallet.balance() == FUNDS - 200


async def test_what_it_answered_survives_a_kill() -> None:
    async with running_wallet("--new-players", "10000") as wallet:
        stake = bet(100)
        await wallet.call("bet", stake)
        await wallet.kill()
        await wallet.start()
        assert (await wallet.call("bet", stake)).json()["duplicate"]


async def test_a_repeat_may_have_the_stored_balance() -> None:
    async with running_wallet("--new-players", "1000", "--repeat-balance", "stored") as wallet:
        stake = bet(100)
        await wallet.call("bet", stake)
        await wallet.call("win", win(stake, 500))
        assert (await wallet.call("bet", stake)).json()["balance"] == 900


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        (sys.executable, "-m", *arguments),
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
        cwd=PROJECT_ROOT,
        env=environment,
    )


def test_a_start_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        failures = {
            ("--port", port): (1, "cannot be used"),
            ("--database", str(tmp_path / "no" / "folder")): (1, "cannot be used"),
            ("--secret", "whsec_short"): (2, "secret"),
            ("--new-players", "1.5"): (2, "integer"),
        }
        for arguments, (code, why) in failures.items():
            ended = run("operator_wallet", *arguments)
            assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
            assert why in ended.stderr.splitlines()[-1]
            assert "Traceback" not in ended.stderr
            assert "whsec_short" not in ended.stderr


def test_the_command_lists_its_options(tmp_path: Path) -> None:
    code, output, _ = invoke({"CROUPIER_HOME": str(tmp_path)}, "operator-wallet", "--help")
    assert code == 0
    assert "--control-token" in output


@pytest.mark.parametrize("as_json", [True, False])
async def test_the_command_makes_a_secret_and_shows_it_once(tmp_path: Path, as_json: bool) -> None:
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "operator-wallet", "--port", "0", *(["--json"] if as_json else [])),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "CROUPIER_HOME": str(tmp_path / "home")},
        cwd=PROJECT_ROOT,
    )
    try:
        assert running.stdout is not None
        line = (await asyncio.wait_for(running.stdout.readline(), HANG_S)).decode()
        if as_json:
            url, secret = json.loads(line)["url"], json.loads(line)["secret"]
        else:
            _, url, _, secret = line.split()
        content = json.dumps(bet()).encode()
        assert SharedSecret.parse(secret)
        async with httpx.AsyncClient(timeout=HANG_S) as client:
            assert (await client.post(f"{url}/bet", content=content)).status_code == 401
            assert (await client.get(f"{url}/control/faults")).status_code == 404
    finally:
        running.terminate()
        rest, errors = await running.communicate()
    assert (running.returncode, rest, errors) == (0, b"", b"")
    assert (tmp_path / "home" / "operator-wallet.sqlite3").exists()
