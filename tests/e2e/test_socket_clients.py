"""The clients' sockets at the running gateway: what is lost on the way is asked again, and played once."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from croupier_client import (
    AsyncGameClient,
    GameSocket,
    InsufficientFunds,
    Money,
    NotFound,
    Patience,
    Push,
    Round,
    SessionEnded,
)

from storage.database import Database
from tests.e2e.node import run_node
from tests.e2e.parties import OVER_HALF, Gateway, Operator
from tests.integration.cable import Cable
from tests.support.conditions import HANG_S, until
from tests.support.ledger import waiting_for_a_lock

pytestmark = pytest.mark.usefixtures("told")

QUICK = Patience(total_s=HANG_S, first_pause_s=0.05)


@pytest.fixture(scope="module")
async def own(gateway: Gateway) -> Operator:
    return await gateway.new_operator()


@pytest.fixture
async def cable(gateway: Gateway) -> AsyncIterator[Cable]:
    url = gateway.http.base_url
    async with Cable(url.host, url.port or 80) as cable:
        yield cable


class Told:
    """Everything that a socket tells unasked, as it comes."""

    def __init__(self, socket: GameSocket) -> None:
        self.pushes: list[Push] = []
        self._task = asyncio.create_task(self._listen(socket))

    async def _listen(self, socket: GameSocket) -> None:
        async for push in socket.pushes():
            self.pushes.append(push)

    @property
    def rounds(self) -> list[str]:
        return [push.round_id for push in self.pushes if isinstance(push, Round)]

    async def ended(self) -> None:
        await self._task

    async def heard(self, round_id: str) -> bool:
        return round_id in self.rounds


async def test_a_socket_plays_and_asks_as_http_does(base_url: str, own: Operator) -> None:
    player = await own.open_session(balance=150)
    async with GameSocket(base_url, player.token) as socket:
        await socket.ping()
        assert (await socket.session()).player_id == player.player_id
        round_ = await socket.bet(100, OVER_HALF)
        assert await socket.balance() == round_.balance
        assert await socket.round(round_.round_id) == round_
        assert await socket.bet(100, OVER_HALF, round_id=round_.round_id) == round_
        with pytest.raises(NotFound):
            await socket.round("never")
        with pytest.raises(InsufficientFunds) as caught:
            await socket.bet(1_000, OVER_HALF)
        assert round_.balance is not None
        assert caught.value.members["balance"]["amount"] == round_.balance.amount
        async with AsyncGameClient(base_url, player.token) as game:
            assert [found async for found in game.history()][-1] == round_
        assert socket.connections == 1


async def test_a_socket_hears_rounds_that_were_played_elsewhere(base_url: str, own: Operator) -> None:
    player = await own.open_session(balance=1_000)
    async with GameSocket(base_url, player.token) as socket:
        told = Told(socket)
        await socket.ping()
        played = await player.played()
        await until(lambda: told.heard(played["round_id"]))

        async def balance_told() -> bool:
            return Money(played["balance"]["amount"], "EUR") in told.pushes

        await until(balance_told)


async def test_a_cut_socket_comes_back_is_told_what_it_missed_and_asks_again(
    base_url: str, own: Operator, cable: Cable
) -> None:
    player = await own.open_session(balance=10_000)
    async with GameSocket(f"http://127.0.0.1:{cable.port}", player.token, patience=QUICK) as socket:
        told = Told(socket)
        before = await socket.bet(100, OVER_HALF)
        await cable.cut()
        missed = [(await player.played())["round_id"] for _ in range(2)]
        round_id = uuid4().hex
        bet = asyncio.create_task(socket.bet(100, OVER_HALF, round_id=round_id))
        await asyncio.sleep(0.2)  # a machine that is slow now misses a fault, and makes none up
        assert not bet.done(), "the cable was not cut"
        await cable.repair()
        assert (await bet).round_id == round_id
        assert socket.connections == 2
        await until(lambda: told.heard(missed[-1]))
    assert told.rounds[:2] == missed
    assert before.round_id not in told.rounds, "what was answered was told again"
    assert len(told.rounds) == len(set(told.rounds))
    assert sorted(found["round_id"] for found in await player.history()) == sorted(
        [before.round_id, *missed, round_id]
    )


async def test_a_bet_whose_answer_was_lost_is_played_once(
    base_url: str, own: Operator, cable: Cable, database: Database
) -> None:
    player = await own.open_session(balance=10_000)
    async with GameSocket(f"http://127.0.0.1:{cable.port}", player.token, patience=QUICK) as socket:
        await socket.ping()
        round_id = uuid4().hex

        async def played() -> bool:
            return bool((await player.call("GET", f"/rounds/{round_id}")).json()["state"] == "settled")

        async with database.pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE transfers IN EXCLUSIVE MODE")
            bet = asyncio.create_task(socket.bet(100, OVER_HALF, round_id=round_id))
            await until(lambda: waiting_for_a_lock(database))
            cable.freeze()  # the bet has arrived, and nothing comes back
        await until(played)
        await cable.cut()
        assert not bet.done(), "the answer was not lost"
        await cable.repair()
        round_ = await bet
    assert [found["round_id"] for found in await player.history()] == [round_id]
    assert await player.balance() == 10_000 - 100 + round_.win.amount


async def test_a_session_that_is_over_ends_its_socket(base_url: str, own: Operator) -> None:
    player = await own.open_session(balance=1_000)
    async with GameSocket(base_url, player.token) as socket:
        told = Told(socket)
        await socket.ping()
        await own.call("DELETE", f"/sessions/{player.session_id}")
        with pytest.raises(SessionEnded):
            await asyncio.wait_for(told.ended(), HANG_S)
        with pytest.raises(SessionEnded):
            await socket.balance()
    async with GameSocket(base_url, "no-token") as nobody:
        with pytest.raises(SessionEnded, match="token"):
            await asyncio.wait_for(nobody.balance(), HANG_S)


async def test_typescript_does_the_same(base_url: str, own: Operator) -> None:
    await run_node("socket.test.ts", base_url, own)
