"""An operator's wallet's statement over HTTP: read whole from the reference wallet, and refused when it is
anything else than what docs/platform/wallet-statement.md says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from contracts.rounds import RoundKey, RoundState
from contracts.wallet import WalletCall
from security.standard_webhooks import SharedSecret, WebhookRefused, verify
from storage.reconciliation import WalletAction, WalletRound
from tests.support.operator_wallet import OPERATOR, PLAYER, bet, new_secret, running_wallet
from wallet import dialect
from wallet.operator import transaction_id
from wallet.operator_http import OperatorWalletConfig
from wallet.statement import (
    NoStatement,
    StatementItem,
    StatementQuery,
    StatementUnavailable,
    difference,
    open_statement,
)

EVERYTHING = StatementQuery(operator_id=OPERATOR)
TEXT = (dialect.FOLDER / "croupier.toml").read_text(encoding="utf-8")
CROUPIER = dialect.Dialect.parse("croupier", TEXT)
IN_MILLISECONDS = dialect.Dialect.parse(
    "counting", TEXT.replace('times = "rfc3339"', 'times = "milliseconds"')
)
ITEM = {
    "wallet_transaction_id": "17",
    "operator_id": OPERATOR,
    "player_id": PLAYER,
    "transaction_id": "5b0c",
    "call": "bet",
    "round_id": "r-1",
    "game_id": "dice",
    "bet_transaction_id": None,
    "currency": "EUR",
    "moved": -100,
    "balance": 9900,
    "at": "2030-01-01T12:00:00.000Z",
}


async def read(
    url: str, secret: str, query: StatementQuery = EVERYTHING, spoken: dialect.Dialect = CROUPIER
) -> list[StatementItem]:
    config = OperatorWalletConfig(
        operator_id=OPERATOR, url=url, dialect="croupier", secrets=(secret,), local=True
    )
    tls = httpx.create_ssl_context(trust_env=False)
    async with open_statement(config, spoken, tls=tls) as statement:
        return [item async for item in statement.items(query)]


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[str, list[str], list[dict[str, str]]]]:
    """A server that gives one answer after the other and keeps the targets and headers of the requests."""
    targets: list[str] = []
    headers: list[dict[str, str]] = []
    waiting = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode().split("\r\n")
            targets.append(lines[0].split(" ")[1])
            headers.append(
                {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines[1:])
                }
            )
            writer.write(waiting.pop(0) if len(waiting) > 1 else waiting[0])
            await writer.drain()

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(quietly, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", targets, headers
    finally:
        server.close()


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def page(*items: dict[str, Any], next_cursor: str | None = None) -> bytes:
    return http(200, json.dumps({"items": items, "next_cursor": next_cursor}).encode())


async def test_reads_every_page_of_the_reference_wallet_and_only_the_span() -> None:
    async with running_wallet() as wallet:
        wallet.open_player(balance=1_000_000)
        await asyncio.sleep(0.01)  # the book's times are whole milliseconds
        before = datetime.now(UTC)
        await asyncio.sleep(0.01)
        taken = [bet(amount=1) for _ in range(205)]
        for one in taken:
            assert (await wallet.call("bet", one)).status_code == 200
        await asyncio.sleep(0.01)
        until = datetime.now(UTC)
        span = StatementQuery(operator_id=OPERATOR, since=before, until=until)
        found = await read(wallet.url, wallet.secret, span)
        assert [item.transaction_id for item in found] == [one["transaction_id"] for one in taken]
        assert {(item.call, item.moved, item.currency) for item in found} == {("bet", -1, "EUR")}
        later = StatementQuery(operator_id=OPERATOR, since=until, until=until + timedelta(hours=1))
        assert await read(wallet.url, wallet.secret, later) == []
        one_bet = StatementQuery(
            operator_id=OPERATOR, player_id=PLAYER, written_id=taken[7]["transaction_id"]
        )
        assert len(await read(wallet.url, wallet.secret, one_bet)) == 1
        with pytest.raises(StatementUnavailable, match="401"):
            await read(wallet.url, new_secret())


async def test_signs_the_request_target_as_it_stands_in_the_request_line() -> None:
    secret = new_secret()
    async with answering(page()) as (url, targets, headers):
        query = StatementQuery(operator_id=OPERATOR, player_id="anna b&c/ü", since=datetime.now(UTC))
        assert await read(f"{url}/below", secret, query) == []
    (target,) = targets
    assert target.startswith(f"/below/statement?operator_id={OPERATOR}&player_id=anna%20b%26c%2F%C3%BC&from=")
    checks = [SharedSecret.parse(secret)]
    verify(checks, headers[0], target.encode(), now=lambda: datetime.now(UTC).timestamp())
    with pytest.raises(WebhookRefused):
        verify(checks, headers[0], b"/statement", now=lambda: datetime.now(UTC).timestamp())


@pytest.mark.parametrize("status", [404, 405])
async def test_a_wallet_without_a_statement_says_so(status: int) -> None:
    async with answering(http(status, b"")) as (url, _, _):
        with pytest.raises(NoStatement):
            await read(url, new_secret())


@pytest.mark.parametrize(
    "answer",
    [
        http(500, b""),
        http(302, b""),
        http(200, b""),
        http(200, b"<html>"),
        http(200, b"[]"),
        http(200, b'{"items": []}'),
        http(200, b'{"items": {}, "next_cursor": null}'),
        page({**ITEM, "moved": "-100"}),
        page({**ITEM, "moved": True}),
        http(200, json.dumps({"items": [ITEM], "next_cursor": None}).replace("-100", "-100.0").encode()),
        page({**ITEM, "operator_id": "another"}),
        page({**ITEM, "player_id": ""}),
        page({**ITEM, "at": "2030-01-01T12:00:00.000"}),  # of which time zone
        page({**ITEM, "at": "soon"}),
        page({**ITEM, "at": 1_893_499_200_000}),
        page({**ITEM, "balance": float("nan")}),
        page({name: value for name, value in ITEM.items() if name != "currency"}),
        page(*([ITEM] * 101)),
        page(ITEM, next_cursor="1"),  # again and again: the pages never end
        http(200, b" " * 300_000),
        b"nonsense\r\n\r\n",
    ],
)
async def test_anything_else_is_no_statement(answer: bytes) -> None:
    async with answering(answer) as (url, _, _):
        with pytest.raises(StatementUnavailable):
            await read(url, new_secret())


async def test_times_may_be_counts_of_milliseconds() -> None:
    at = datetime(2030, 1, 1, 12, 0, 0, 123_000, tzinfo=UTC)
    span = StatementQuery(operator_id=OPERATOR, since=at, until=at + timedelta(seconds=1))
    async with answering(page({**ITEM, "at": 1_893_499_200_123})) as (url, targets, _):
        (item,) = await read(url, new_secret(), span, IN_MILLISECONDS)
    assert item.at == at
    assert targets[0].endswith("&from=1893499200123&to=1893499201123")


@pytest.mark.parametrize("at", [True, "1893499200123", 1_893_499_200_123.5])
async def test_a_time_that_is_no_count_is_no_statement(at: object) -> None:
    async with answering(page({**ITEM, "at": at})) as (url, _, _):
        with pytest.raises(StatementUnavailable):
            await read(url, new_secret(), spoken=IN_MILLISECONDS)


async def test_an_entry_of_others_is_read_with_its_own_ids_and_time() -> None:
    entry = {**ITEM, "transaction_id": "bonus-17", "bet_transaction_id": "bonus-16"}
    async with answering(page(entry)) as (url, _, _):
        (item,) = await read(url, new_secret())
    assert (item.transaction_id, item.written_id) == ("bonus-17", "bonus-17")
    assert (item.bet_transaction_id, item.at) == ("bonus-16", datetime(2030, 1, 1, 12, tzinfo=UTC))


async def test_a_wallet_that_is_away_has_no_statement_now() -> None:
    with pytest.raises(StatementUnavailable):
        await read("http://127.0.0.1:9", new_secret())


async def test_a_dialect_without_a_statement_has_none() -> None:
    silent = dialect.Dialect.parse("silent", TEXT.partition("[statement]")[0])
    config = OperatorWalletConfig(
        operator_id=OPERATOR,
        url="http://127.0.0.1:9",
        dialect="croupier",
        secrets=(new_secret(),),
        local=True,
    )
    with pytest.raises(NoStatement):
        async with open_statement(config, silent, tls=httpx.create_ssl_context(trust_env=False)):
            pass


KEY = RoundKey(operator_id=OPERATOR, player_key=7, round_id="r-1")


def ours(state: RoundState | None, **changes: Any) -> WalletRound:
    known: dict[str, Any] = {
        "key": KEY,
        "game_id": "dice",
        "currency": "EUR",
        "stake": 100,
        "releasing": False,
        "state": state,
        "win": 0,
        "returned": None,
    }
    return WalletRound(**{**known, **changes})


def theirs(of: WalletCall, moved: int, **changes: Any) -> StatementItem:
    known: dict[str, Any] = {
        "operator_id": OPERATOR,
        "player_id": PLAYER,
        "transaction_id": transaction_id(KEY, of),
        "written_id": transaction_id(KEY, of),
        "call": of.value,
        "round_id": "r-1",
        "currency": "EUR",
        "moved": moved,
    }
    return StatementItem(**{**known, **changes})


SETTLED = ours(RoundState.SETTLED, win=250)
VOID = ours(RoundState.VOID, releasing=True, returned=100)


@pytest.mark.parametrize(
    ("item", "round_"),
    [
        (theirs(WalletCall.BET, -100), ours(None)),
        (theirs(WalletCall.BET, -100), VOID),
        (theirs(WalletCall.WIN, 250), SETTLED),
        (theirs(WalletCall.WIN, 250), ours(RoundState.SETTLING, win=250)),
        (theirs(WalletCall.ROLLBACK, 100), VOID),
        (theirs(WalletCall.ROLLBACK, 0), ours(None, releasing=True)),
        (theirs(WalletCall.ROLLBACK, 100), ours(RoundState.VOID, releasing=True)),
        (theirs(WalletCall.BET, 5, call="opening"), None),
    ],
)
def test_what_agrees(item: StatementItem, round_: WalletRound | None) -> None:
    assert difference(item, round_) is None


@pytest.mark.parametrize(
    ("item", "round_"),
    [
        (theirs(WalletCall.BET, -100), None),
        (theirs(WalletCall.BET, -101), ours(RoundState.PENDING)),
        (theirs(WalletCall.BET, -100), ours(RoundState.DECLINED)),
        (theirs(WalletCall.BET, -100, currency="USD"), ours(RoundState.PENDING)),
        (theirs(WalletCall.BET, -100, transaction_id=str(uuid4())), ours(RoundState.PENDING)),
        (theirs(WalletCall.WIN, 250), ours(RoundState.PENDING)),
        (theirs(WalletCall.WIN, 251), SETTLED),
        (theirs(WalletCall.WIN, 250), VOID),
        (theirs(WalletCall.ROLLBACK, 100), SETTLED),
        (theirs(WalletCall.ROLLBACK, 0), VOID),
        (theirs(WalletCall.ROLLBACK, 50), ours(RoundState.VOID, releasing=True)),
        (theirs(WalletCall.BET, -100, call="bonus"), ours(RoundState.PENDING)),
    ],
)
def test_what_differs(item: StatementItem, round_: WalletRound | None) -> None:
    assert difference(item, round_) is not None


def of_action(call: WalletCall, moved: int, action_id: str = "a1") -> StatementItem:
    return theirs(call, moved, transaction_id=transaction_id(KEY, call, action_id))


def raised(state: RoundState, outcome: str | None, *, releasing: bool = False, **changes: Any) -> WalletRound:
    action = WalletAction(action_id="a1", amount=60, releasing=releasing, outcome=outcome)
    return ours(state, actions=(action,), **changes)


WAITS, DONE, GONE = RoundState.AWAITING_CHOICE, RoundState.SETTLED, RoundState.VOID
RAISED_AND_VOID = raised(GONE, "taken", returned=160)


@pytest.mark.parametrize(
    ("item", "round_"),
    [
        (of_action(WalletCall.BET, -60), raised(WAITS, None)),
        (of_action(WalletCall.BET, -60), raised(DONE, "taken")),
        (of_action(WalletCall.BET, -60), raised(DONE, "rolled-back", releasing=True)),
        (of_action(WalletCall.ROLLBACK, 0), raised(WAITS, None, releasing=True)),
        (of_action(WalletCall.ROLLBACK, 60), raised(DONE, "rolled-back", releasing=True)),
        (of_action(WalletCall.ROLLBACK, 60), RAISED_AND_VOID),
        (theirs(WalletCall.ROLLBACK, 100), RAISED_AND_VOID),
        (theirs(WalletCall.BET, -100), RAISED_AND_VOID),
    ],
)
def test_what_agrees_of_an_action(item: StatementItem, round_: WalletRound) -> None:
    assert difference(item, round_) is None


@pytest.mark.parametrize(
    ("item", "round_"),
    [
        (of_action(WalletCall.BET, -60, "a2"), raised(DONE, "taken")),
        (of_action(WalletCall.BET, -100), raised(DONE, "taken")),
        (of_action(WalletCall.BET, -60), raised(DONE, "declined")),
        (of_action(WalletCall.WIN, 60), raised(DONE, "taken")),
        (of_action(WalletCall.ROLLBACK, 60), raised(DONE, "taken")),
        (of_action(WalletCall.ROLLBACK, 0), raised(WAITS, None)),
        (of_action(WalletCall.ROLLBACK, 0), RAISED_AND_VOID),
        (theirs(WalletCall.ROLLBACK, 160), RAISED_AND_VOID),
    ],
)
def test_what_differs_of_an_action(item: StatementItem, round_: WalletRound) -> None:
    assert difference(item, round_) is not None
