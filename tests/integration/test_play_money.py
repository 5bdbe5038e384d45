"""Play money in the ledger: the same rounds, apart from real money in every row."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from api.session.service import DEMO_BALANCE
from storage import operator_wallets, rounds, sessions
from storage.database import Database
from tests.support.conditions import HANG_S
from tests.support.ledger import OUTCOME, Seat, take_seat


async def seated(database: Database, real: Seat | None = None) -> Seat:
    """At play money; as the same player of the same operator as `real`."""
    if real is None:
        return await take_seat(database, mode="demo")
    return await take_seat(
        database,
        mode="demo",
        operator_id=real.session.operator_id,
        player_id=real.session.player_id,
    )


async def test_a_player_with_play_money_is_another_player_and_begins_with_some(database: Database) -> None:
    real = await take_seat(database, balance=700)
    play = await seated(database, real)
    assert play.session.player_key != real.session.player_key
    assert await play.money() == (DEMO_BALANCE, 0)
    assert await real.money() == (700, 0)


async def test_a_round_moves_play_money_and_leaves_no_event(database: Database) -> None:
    play = await seated(database)
    bet = play.bet()
    reserved = await play.reserve(bet)
    assert (reserved.state, reserved.demo) == ("pending", True)
    settled = await rounds.settle(database.pool, bet.key, OUTCOME, 250)
    assert settled.event is None
    assert (settled.view.event_id, settled.view.sequence, settled.view.demo) == (None, None, True)
    assert await play.money() == (DEMO_BALANCE + 150, 0)
    assert await play.events() == []
    kinds = await database.pool.fetch(
        """
        SELECT t.kind, shared.kind AS account, shared.balance FROM transfers t
        JOIN accounts shared ON shared.id IN (t.debit_account, t.credit_account) AND shared.player_key IS NULL
        WHERE t.player_key = $1 ORDER BY t.position
        """,
        play.session.player_key,
    )
    assert [tuple(row) for row in kinds] == [
        ("play", "play", None),
        ("stake", "play", None),
        ("win", "play", None),
    ]


async def test_a_void_round_leaves_no_event_either(database: Database) -> None:
    play = await seated(database)
    reserved, never_reserved = play.bet(), play.bet()
    await play.reserve(reserved)
    for bet in (reserved, never_reserved):
        void = await play.release(bet)
        assert (void.state, void.event_id, void.sequence, void.demo) == ("void", None, None, True)
    assert (await play.reserve(never_reserved)).state == "void", "the tombstone refuses the late bet"
    assert await play.money() == (DEMO_BALANCE, 0)
    assert await play.events() == []


async def test_both_kinds_of_money_at_once_mix_nowhere(database: Database) -> None:
    """The same player, the same game and even the same round ids, all at the same time."""
    real = await take_seat(database, balance=10_000)
    play = await seated(database, real)
    ids = [uuid4().hex for _ in range(10)]

    async def plays(seat: Seat, win: int) -> None:
        for round_id in ids:
            bet = seat.bet(round_id)
            assert (await seat.reserve(bet)).state == "pending"
            await seat.settle(bet, win)

    await asyncio.gather(plays(real, 0), plays(play, 300))
    assert await real.money() == (9_000, 0)
    assert await play.money() == (DEMO_BALANCE + 2_000, 0)
    assert len(await real.events()) == len(ids)
    assert await play.events() == []
    assert real.bet(ids[0]).key.workflow_id != play.bet(ids[0]).key.workflow_id


async def test_one_lock_does_not_hold_the_other_money_up(database: Database) -> None:
    real = await take_seat(database, balance=100)
    play = await seated(database, real)
    async with database.pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("SELECT FROM players WHERE id = $1 FOR UPDATE", real.session.player_key)
        async with asyncio.timeout(HANG_S):
            assert (await play.reserve(play.bet())).state == "pending"


async def test_each_new_session_fills_the_account_up_once(database: Database) -> None:
    play = await seated(database)
    lost = play.bet(stake=60_000)
    await play.reserve(lost)
    await play.settle(lost, 0)
    await sessions.grant_demo_money(database.pool, play.session, amount=40_000)
    assert await play.money() == (40_000, 0), "there is as much already"
    first, second = await asyncio.gather(seated(database, play), seated(database, play))
    assert first.session.player_key == second.session.player_key == play.session.player_key
    assert await play.money() == (DEMO_BALANCE, 0)
    won = first.bet()
    await first.reserve(won)
    await first.settle(won, 900)
    await seated(database, play)
    assert await play.money() == (DEMO_BALANCE + 800, 0), "what was won stays"


async def test_no_real_money_comes_in_or_goes_out(database: Database) -> None:
    play = await seated(database)
    with pytest.raises(asyncpg.NoDataFoundError):
        await play.deposit(100)
    with pytest.raises(asyncpg.NoDataFoundError):
        await play.withdraw(100)
    assert await play.money() == (DEMO_BALANCE, 0)


async def test_a_player_of_real_money_is_given_none(database: Database) -> None:
    real = await take_seat(database, balance=100)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await sessions.grant_demo_money(database.pool, real.session, amount=DEMO_BALANCE)
    assert await real.money() == (100, 0)


async def test_no_wallet_is_asked_for_play_money(database: Database) -> None:
    """Even by a worker that were to try."""
    play = await seated(database)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await operator_wallets.begin_bet(database.pool, play.bet(), uuid4().hex)


async def test_who_is_blocked_is_blocked_with_play_money_too(database: Database) -> None:
    real = await take_seat(database, balance=100)
    await database.pool.execute("UPDATE players SET blocked = true WHERE id = $1", real.session.player_key)
    play = await seated(database, real)
    assert (await play.reserve(play.bet())).failure_code == "player-blocked"
