"""Sockets that are dropped, or ended by an ingress that stops, and resume: nothing is lost or told twice."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from api.transports.websocket import server
from games.lucky_fruits import GAME as LUCKY_FRUITS
from storage.database import Database
from tests.conftest import Services
from tests.e2e.parties import Operator, Player
from tests.e2e.websocket.answers import in_ledger
from tests.support.conditions import until
from tests.support.ingress import is_draining, one_more_ingress
from tests.support.ledger import waiting_for_a_lock
from tests.support.sockets import Socket, opened

pytestmark = pytest.mark.usefixtures("told")


async def test_a_dropped_socket_resumes_by_its_last_sequence(base_url: str, player: Player) -> None:
    async with opened(base_url, player.token) as socket:
        first = (await socket.ask("bet", **player.wager()))["round"]
    missed = [await player.played() for _ in range(3)]
    async with opened(base_url, player.token, last_sequence=first["sequence"]) as socket:
        assert socket.hello["sequence"] == missed[-1]["sequence"]
        assert [(await socket.push("round"))["round"] for _ in missed] == missed
        await socket.nothing_pushed()
    async with opened(base_url, player.token, last_sequence=missed[-1]["sequence"]) as socket:
        await socket.nothing_pushed()
    async with opened(base_url, player.token) as socket:
        await socket.nothing_pushed()


async def test_a_sequence_that_was_never_given_out_asks_the_client_to_look(
    base_url: str, player: Player
) -> None:
    async with opened(base_url, player.token, last_sequence=99) as socket:
        await socket.push("resync")


async def test_who_missed_too_much_gets_the_first_of_it_and_is_told_so(
    base_url: str, player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = server.REPLAYED_ROUNDS + 3
    for _ in range(0, count, 10):
        await player.bet()
    played = len(await player.history())
    for _ in range(count - played):
        await player.bet()
    async with opened(base_url, player.token, last_sequence=0) as socket:
        told = [(await socket.push("round"))["round"]["sequence"] for _ in range(server.REPLAYED_ROUNDS)]
        closed = [round_["sequence"] for round_ in reversed(await player.history())]
        assert told == closed[: server.REPLAYED_ROUNDS]
        await socket.push("resync")


async def test_rounds_that_close_while_a_socket_resumes_are_told_once_each(
    base_url: str, operator: Operator
) -> None:
    """A player plays on while sockets come and go: each hears of every round since the one before it left."""
    player = await operator.open_session(balance=100_000)
    async with opened(base_url, player.token) as before:
        known = before.hello["sequence"]

    async def play() -> None:
        for _ in range(40):
            await player.played()

    playing, last = asyncio.create_task(play()), known + 40

    async def hear(socket: Socket) -> int:
        """The sequence of the next round that is told to have closed."""
        while True:
            message = await socket.next_push()
            if message["type"] == "round" and message["round"]["sequence"] is not None:
                return int(message["round"]["sequence"])

    while known < last:
        async with opened(base_url, player.token, last_sequence=known) as socket:
            for _ in range(min(3, last - known)):
                assert await hear(socket) == known + 1
                known += 1
    await playing
    async with opened(base_url, player.token, last_sequence=known) as socket:
        await socket.nothing_pushed()


async def test_an_open_round_is_told_at_the_hello_and_its_end_is_pushed(
    base_url: str, player: Player, database: Database
) -> None:
    """A socket is dropped while its bet waits. The bet goes on; the next socket sees it through."""
    async with AsyncExitStack() as later:
        async with database.pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE transfers IN EXCLUSIVE MODE")
            async with opened(base_url, player.token) as dropped:
                await dropped.send("bet", **player.wager("goes-on"))
                await until(lambda: waiting_for_a_lock(database))
                dropped.connection.transport.abort()
            socket = await later.enter_async_context(opened(base_url, player.token, last_sequence=0))
            assert (await socket.push("round"))["round"]["state"] == "pending"
        ended = (await socket.push("round"))["round"]
        assert (ended["round_id"], ended["state"]) == ("goes-on", "settled")
    assert await in_ledger(database, player) == (1, 1)


@pytest.mark.parametrize(
    "lock",
    [
        "",
        "LOCK TABLE seeds IN EXCLUSIVE MODE",
        "LOCK TABLE transfers IN EXCLUSIVE MODE",
        "LOCK TABLE outbox IN EXCLUSIVE MODE",
    ],
    ids=["as soon as it is sent", "while it reserves", "while it settles", "at the end of its settling"],
)
async def test_a_socket_that_is_dropped_during_a_bet_leaves_one_round(
    base_url: str, player: Player, database: Database, lock: str
) -> None:
    wager = player.wager()
    async with database.pool.acquire() as connection, connection.transaction():
        if lock:
            await connection.execute(lock)
        async with opened(base_url, player.token) as dropped:
            await dropped.send("bet", **wager)
            if lock:
                await until(lambda: waiting_for_a_lock(database))
            dropped.connection.transport.abort()
    async with opened(base_url, player.token) as socket:
        answer = await socket.ask("bet", **wager)
        assert answer["round"]["state"] == "settled"
    assert await in_ledger(database, player) == (1, 1)
    assert await player.balance() == 9_900 + answer["round"]["win"]["amount"]


@pytest.mark.parametrize("moment", ["bet sent", "offer read", "action sent", "action read"])
async def test_a_socket_that_is_dropped_at_any_moment_of_a_round_with_choices_finds_it_again(
    base_url: str, operator: Operator, database: Database, moment: str
) -> None:
    player = await operator.open_session(balance=1_000_000, game_id=LUCKY_FRUITS.id)
    waits = await _dropped_until_one_waits(base_url, player, moment)
    chosen = waits["choices"][0]
    params = {name: values[0] for name, values in chosen["params"].items()}
    action = {"round_id": waits["round_id"], "action_id": "a1", "action": chosen["action"], "params": params}
    async with opened(base_url, player.token) as socket:
        assert (await socket.push("round"))["round"] == waits, "as it was left"
        sent = await socket.send("action", **action)
        if moment == "action read":
            await sent
        socket.connection.transport.abort()
    async with opened(base_url, player.token) as socket:
        after = await socket.ask("action", **action)
    assert [taken["action_id"] for taken in after["round"]["actions"]] == ["a1"]
    acted = "SELECT count(*) FROM round_actions WHERE player_key = $1 AND round_id = $2"
    assert await database.pool.fetchval(acted, player.claims.player_key, waits["round_id"]) == 1


async def _dropped_until_one_waits(base_url: str, player: Player, moment: str) -> dict[str, Any]:
    """A round that waits for its player, whose socket was dropped after its bet."""
    for _ in range(100):
        wager = player.wager()
        async with opened(base_url, player.token) as socket:
            sent = await socket.send("bet", **wager)
            if moment != "bet sent":
                await sent
            socket.connection.transport.abort()
        async with opened(base_url, player.token) as socket:
            round_: dict[str, Any] = (await socket.ask("bet", **wager))["round"]
        if round_["state"] == "awaiting_choice":
            return round_
    raise AssertionError("no round waits")


# The end of a process


async def test_a_stopping_ingress_answers_what_was_asked_and_sends_its_clients_elsewhere(
    services: Services, base_url: str, player: Player, database: Database
) -> None:
    async with (
        one_more_ingress(services.stack, "stopping-ingress") as ingress,
        opened(ingress.base_url, player.token) as socket,
    ):
        async with database.pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE transfers IN EXCLUSIVE MODE")
            bet = await socket.send("bet", **player.wager())
            await until(lambda: waiting_for_a_lock(database))
            stopping = asyncio.create_task(ingress.running.stop())
            await until(lambda: is_draining(ingress.base_url))
            assert not bet.done()
        played = (await bet)["round"]
        assert played["state"] == "settled"
        assert await socket.closed() == 1012
        await stopping
    async with opened(base_url, player.token, last_sequence=0) as elsewhere:
        assert (await elsewhere.push("round"))["round"] == played
