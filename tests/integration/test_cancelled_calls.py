"""A task that is cancelled inside a transaction: whichever call it was, the pool gets no connection back that
still has the transaction open, and the same call works when it is made again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Final

import pytest

from contracts.rounds import Bet, RoundState
from storage.database import Database, open_database
from tests.conftest import Services
from tests.support.conditions import HANG_S, until
from tests.support.ledger import Seat, take_seat, waiting_for_a_lock

CONNECTIONS: Final = 3
# Of this pool alone, so that nothing else that runs counts.
UNFINISHED: Final = """
    SELECT count(*) FROM pg_stat_activity
    WHERE pid = ANY($1)
      AND (state LIKE 'idle in transaction%' OR state = 'active' AND pid <> pg_backend_pid())
"""

Call = Callable[[Seat, Bet], Coroutine[None, None, object]]


async def _reserve(seat: Seat, bet: Bet) -> object:
    return (await seat.reserve(bet)).state


async def _settle(seat: Seat, bet: Bet) -> object:
    return (await seat.settle(bet, win=30)).state


async def _release(seat: Seat, bet: Bet) -> object:
    return (await seat.release(bet)).state


async def _deposit(seat: Seat, bet: Bet) -> object:
    return await seat.deposit(5, bet.key.round_id)


async def _withdraw(seat: Seat, bet: Bet) -> object:
    return await seat.withdraw(5, bet.key.round_id)


# What each answers when it is made again, and the player's money after that: 1000 and a hold of 100 before.
CALLS: Final = (
    pytest.param(_reserve, RoundState.PENDING, (1_000, 100), id="reserve"),
    pytest.param(_settle, RoundState.SETTLED, (930, 0), id="settle"),
    pytest.param(_release, RoundState.VOID, (1_000, 0), id="release"),
    pytest.param(_deposit, ("deposited", 905), (1_005, 100), id="deposit"),
    pytest.param(_withdraw, ("withdrawn", 895), (995, 100), id="withdraw"),
)


@pytest.fixture
async def pooled(services: Services) -> AsyncIterator[Database]:
    """A pool of this test alone, to look into."""
    opened = await open_database(services.stack.addresses.database_url, connections=CONNECTIONS)
    yield opened
    await opened.close()


@pytest.mark.parametrize(("call", "answer", "money"), CALLS)
async def test_a_cancelled_call_leaves_nothing_behind(
    database: Database, pooled: Database, call: Call, answer: object, money: tuple[int, int]
) -> None:
    settled_in = await take_seat(database, balance=1_000)
    seat = Seat(pooled, settled_in.session)
    bet = seat.bet()
    await seat.reserve(bet)

    async with database.pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("SELECT 1 FROM players WHERE id = $1 FOR UPDATE", seat.session.player_key)
        waiting = [asyncio.create_task(call(seat, bet)) for _ in range(CONNECTIONS)]
        await until(lambda: _all_wait(database))
        for task in waiting:
            task.cancel()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended)
        await _assert_clean(pooled, database)
        assert await settled_in.money() == (1_000, 100)

    assert await asyncio.wait_for(call(seat, bet), HANG_S) == answer
    assert await settled_in.money() == money
    await _assert_clean(pooled, database)


async def _all_wait(database: Database) -> bool:
    return await waiting_for_a_lock(database) >= CONNECTIONS


async def _assert_clean(pooled: Database, database: Database) -> None:
    """Every connection is back in the pool, none is in a transaction by its own account or the server's, and
    none still runs a statement."""
    pool = pooled.pool
    await until(lambda: _all_idle(pooled))
    held = [await pool.acquire(timeout=HANG_S) for _ in range(CONNECTIONS)]
    try:
        assert not any(connection.is_in_transaction() for connection in held)
        pids = [connection.get_server_pid() for connection in held]

        async def none_unfinished() -> bool:
            return bool(await database.pool.fetchval(UNFINISHED, pids) == 0)

        await until(none_unfinished)
        assert [await connection.fetchval("SELECT 1") for connection in held] == [1] * CONNECTIONS
    finally:
        for connection in held:
            await pool.release(connection)


async def _all_idle(pooled: Database) -> bool:
    return bool(pooled.pool.get_size() == pooled.pool.get_idle_size())
