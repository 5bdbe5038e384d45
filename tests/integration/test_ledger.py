"""The ledger's operations on a real PostgreSQL: each alone, repeated, out of order, and raced."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from contracts.rounds import ReleaseRequest, Resolution, RoundState, SettleRequest
from storage import sessions
from storage.database import Database
from tests.support.conditions import HANG_S, until
from tests.support.ledger import OUTCOME, first_broken, take_seat, waiting_for_a_lock
from verification.chain import Link
from wallet.ledger import LedgerSteps
from wallet.steps import WalletConflict


async def test_a_settled_round_moves_stake_and_win(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet(stake=100)

    reserved = await seat.reserve(bet)
    assert reserved.state is RoundState.PENDING
    assert await seat.money() == (1_000, 100)

    settled = await seat.settle(bet, win=250)
    assert (settled.state, settled.win, settled.balance, settled.sequence) == (
        RoundState.SETTLED,
        250,
        1_150,
        3,  # after the session and the deposit
    )
    assert await seat.money() == (1_150, 0)
    assert [(t["kind"], t["amount"]) for t in await seat.transfers()] == [
        ("deposit", 1_000),
        ("stake", 100),
        ("win", 250),
    ]
    assert [e["type"] for e in await seat.events()] == ["round.settled"]


async def test_a_lost_round_is_closed_with_a_win_of_zero_and_one_transfer(database: Database) -> None:
    seat = await take_seat(database, balance=100)
    bet = seat.bet(stake=100)
    await seat.reserve(bet)

    settled = await seat.settle(bet, win=0)

    assert (settled.state, settled.balance) == (RoundState.SETTLED, 0)
    assert [t["kind"] for t in await seat.transfers()] == ["deposit", "stake"]


async def test_a_repeated_reserve_holds_once_and_answers_the_same(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    first = await seat.reserve(bet)
    assert await seat.reserve(bet) == first
    assert await seat.money() == (1_000, 100)


async def test_a_repeated_settle_pays_once_and_keeps_the_first_outcome(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    first = await seat.settle(bet, win=50)
    assert await seat.settle(bet, win=9_999) == first
    assert await seat.money() == (950, 0)
    assert len(await seat.events()) == 1


async def test_a_release_gives_the_stake_back_once(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    first = await seat.release(bet)
    assert (first.state, first.failure_code, first.balance) == (RoundState.VOID, "resolve-failed", 1_000)
    assert await seat.release(bet) == first
    assert await seat.money() == (1_000, 0)
    assert [e["type"] for e in await seat.events()] == ["round.void"]


async def test_a_settle_after_a_release_answers_the_void_round(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    released = await seat.release(bet)
    assert await seat.settle(bet, win=500) == released
    assert await seat.money() == (1_000, 0)


async def test_a_release_after_a_settle_answers_the_settled_round(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    settled = await seat.settle(bet, win=500)
    assert await seat.release(bet) == settled
    assert await seat.money() == (1_400, 0)


async def test_a_reserve_that_arrives_after_its_release_holds_nothing(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    tombstone = await seat.release(bet)
    assert tombstone.state is RoundState.VOID
    assert await seat.reserve(bet) == tombstone
    assert await seat.money() == (1_000, 0)
    assert [e["type"] for e in await seat.events()] == ["round.void"]


async def test_a_release_frees_the_account_of_the_round_whatever_the_bet_names(database: Database) -> None:
    """The interleaving: a release that names another account of the player meets another hold there."""
    euros = await take_seat(database, balance=1_000)
    dollars = await take_seat(
        database,
        operator_id=euros.session.operator_id,
        player_id=euros.session.player_id,
        game_id="fruit-lines",
        currency="USD",
        balance=1_000,
    )
    bet = euros.bet()
    await euros.reserve(bet)
    await dollars.reserve(dollars.bet())
    other = replace(bet, account_id=dollars.session.account_id)
    assert other.account_id != bet.account_id
    assert (await euros.release(other)).balance == 1_000
    assert (await euros.money(), await dollars.money()) == ((1_000, 0), (1_000, 100))


async def test_a_settle_without_a_reserve_is_refused(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    with pytest.raises(asyncpg.NoDataFoundError):
        await seat.settle(seat.bet(), win=1)
    assert await seat.money() == (1_000, 0)


async def test_a_stake_above_the_available_balance_is_declined_with_the_true_balance(
    database: Database,
) -> None:
    seat = await take_seat(database, balance=150)
    elsewhere = await take_seat(
        database,
        operator_id=seat.session.operator_id,
        player_id=seat.session.player_id,
        game_id="fruit-lines",
    )
    await seat.reserve(seat.bet(stake=100))

    declined = await elsewhere.reserve(elsewhere.bet(stake=100))

    assert (declined.state, declined.failure_code, declined.balance) == (
        RoundState.DECLINED,
        "insufficient-funds",
        50,
    )
    assert await seat.money() == (150, 100)


async def test_a_second_round_of_the_same_game_is_declined_and_names_the_open_one(
    database: Database,
) -> None:
    seat = await take_seat(database, balance=1_000)
    first = seat.bet()
    await seat.reserve(first)
    declined = await seat.reserve(seat.bet())
    assert (declined.failure_code, declined.failure_detail) == ("round-open", first.key.round_id)
    assert await seat.money() == (1_000, 100)


async def test_an_ended_session_takes_no_bet_and_its_open_round_still_settles(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    await sessions.end_session(
        database.pool, session_id=seat.session.session_id, operator_id=seat.session.operator_id
    )
    declined = await seat.reserve(seat.bet())
    assert declined.failure_code == "session-expired"
    assert (await seat.settle(bet, win=100)).state is RoundState.SETTLED


async def test_a_blocked_player_takes_no_bet(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    await database.pool.execute("UPDATE players SET blocked = true WHERE id = $1", seat.session.player_key)
    assert (await seat.reserve(seat.bet())).failure_code == "player-blocked"


async def test_nonces_are_used_in_order_and_none_by_a_declined_round(database: Database) -> None:
    seat = await take_seat(database, balance=200)
    nonces = []
    for stake in (100, 1_000, 100):
        bet = seat.bet(stake=stake)
        nonces.append((await seat.reserve(bet)).nonce)
        await seat.settle(bet, win=100)
    assert nonces == [0, None, 1]


async def test_two_players_may_use_the_same_round_id(database: Database) -> None:
    one = await take_seat(database, balance=100)
    other = await take_seat(database, balance=100, operator_id=one.session.operator_id)
    for seat in (one, other):
        assert (await seat.reserve(seat.bet("same"))).state is RoundState.PENDING


async def test_a_deposit_happens_once_per_transaction_id(database: Database) -> None:
    seat = await take_seat(database)
    assert await seat.deposit(500, "t-1") == ("deposited", 500)
    await seat.deposit(7, "t-2")
    assert await seat.deposit(500, "t-1") == ("replayed", 500)
    assert await seat.deposit(501, "t-1") == ("reused", 500)
    assert await seat.money() == (507, 0)


async def test_twenty_rounds_at_once_for_the_last_balance_hold_it_exactly_once(database: Database) -> None:
    """The interleaving: all read the balance before any of them holds its stake."""
    one = await take_seat(database, balance=100)
    seats = [
        await take_seat(
            database,
            operator_id=one.session.operator_id,
            player_id=one.session.player_id,
            game_id=f"game-{number}",
        )
        for number in range(20)
    ]
    views = await asyncio.gather(*(seat.reserve(seat.bet(stake=100)) for seat in seats))
    assert Counter(view.failure_code for view in views) == {None: 1, "insufficient-funds": 19}
    assert await one.money() == (100, 100)


async def test_twenty_starts_of_one_game_at_once_open_exactly_one_round(database: Database) -> None:
    seat = await take_seat(database, balance=100_000)
    views = await asyncio.gather(*(seat.reserve(seat.bet()) for _ in range(20)))
    assert Counter(view.failure_code for view in views) == {None: 1, "round-open": 19}
    assert await seat.money() == (100_000, 100)


async def test_twenty_terminals_at_once_close_a_round_exactly_once(database: Database) -> None:
    """The interleaving: settle and release both find the round open, and both close it."""
    for _ in range(5):
        seat = await take_seat(database, balance=1_000)
        bet = seat.bet()
        await seat.reserve(bet)
        views = await asyncio.gather(
            *(seat.settle(bet, win=300) if n % 2 else seat.release(bet) for n in range(20))
        )
        assert len(set(map(repr, views))) == 1
        assert len(await seat.events()) == 1
        expected = (1_200, 0) if views[0].state is RoundState.SETTLED else (1_000, 0)
        assert await seat.money() == expected


async def test_a_reserve_racing_its_own_release_never_leaves_a_hold(database: Database) -> None:
    for _ in range(20):
        seat = await take_seat(database, balance=1_000)
        bet = seat.bet()
        await asyncio.gather(seat.reserve(bet), seat.release(bet))
        assert await seat.money() == (1_000, 0)
        assert [e["type"] for e in await seat.events()] == ["round.void"]


async def test_a_hundred_repeats_of_one_deposit_at_once_have_one_effect(database: Database) -> None:
    seat = await take_seat(database)
    answers = await asyncio.gather(*(seat.deposit(5, "once") for _ in range(100)))
    assert Counter(answers) == {("deposited", 5): 1, ("replayed", 5): 99}


async def test_a_first_session_opened_twenty_times_at_once_makes_one_player(database: Database) -> None:
    operator_id, player_id = f"op-{uuid4().hex[:12]}", uuid4().hex
    seats = await asyncio.gather(
        *(take_seat(database, operator_id=operator_id, player_id=player_id) for _ in range(20))
    )
    assert len({(seat.session.player_key, seat.session.account_id) for seat in seats}) == 1


async def test_a_cancelled_call_leaves_no_transaction_open_in_the_pool(database: Database) -> None:
    """The trap: a task cancelled inside a transaction hands its connection back with the lock held."""
    seat = await take_seat(database, balance=1_000)
    async with database.pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("SELECT 1 FROM players WHERE id = $1 FOR UPDATE", seat.session.player_key)
        waiting = asyncio.create_task(seat.reserve(seat.bet()))
        await until(lambda: waiting_for_a_lock(database))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    held_open = await database.pool.fetchval(
        """
        SELECT count(*) FROM pg_stat_activity
        WHERE state LIKE 'idle in transaction%' AND datname = current_database()
          AND query LIKE '%reserve_round_v1%'
        """
    )
    assert held_open == 0
    assert (await asyncio.wait_for(seat.reserve(seat.bet()), HANG_S)).state is RoundState.PENDING


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transfers SET amount = amount + 1 WHERE player_key = $1",
        "DELETE FROM transfers WHERE player_key = $1",
        "UPDATE postings SET amount = 7"
        " WHERE transfer_id IN (SELECT id FROM transfers WHERE player_key = $1)",
        "DELETE FROM postings WHERE transfer_id IN (SELECT id FROM transfers WHERE player_key = $1)",
        "UPDATE rounds SET win = win + 1 WHERE player_key = $1",
        "UPDATE rounds SET state = 'pending' WHERE player_key = $1",
        "DELETE FROM rounds WHERE player_key = $1",
        "UPDATE outbox SET data = '{}' WHERE player_key = $1",
        "DELETE FROM outbox WHERE player_key = $1",
    ],
)
async def test_what_is_written_stays_as_it_was_written(database: Database, statement: str) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    await seat.settle(bet, win=50)
    with pytest.raises(asyncpg.RestrictViolationError):
        await database.pool.execute(statement, seat.session.player_key)


@pytest.mark.parametrize("table", ["transfers", "postings", "rounds", "outbox"])
async def test_tables_of_record_cannot_be_emptied(database: Database, table: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await database.pool.execute(f"TRUNCATE {table} CASCADE")


async def test_an_event_is_marked_as_published_once(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    await seat.settle(bet, win=0)
    # The round's own alone: with two a relay, which takes them in another order, could meet in a deadlock.
    mark = "UPDATE outbox SET published_at = now() WHERE player_key = $1 AND type = 'round.settled'"
    # Another test's relay may have been faster.
    await database.pool.execute(f"{mark} AND published_at IS NULL", seat.session.player_key)
    with pytest.raises(asyncpg.RestrictViolationError):
        await database.pool.execute(mark, seat.session.player_key)


async def test_the_chain_of_hashes_holds_and_a_superusers_change_breaks_it(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    for win in (0, 30, 500):
        bet = seat.bet()
        await seat.reserve(bet)
        await seat.settle(bet, win=win)

    async def broken() -> int | None:
        head = await database.pool.fetchrow(
            "SELECT chain_length, chain_head FROM players WHERE id = $1", seat.session.player_key
        )
        fields = Link.__slots__
        links = [Link(**{name: row[name] for name in fields}) for row in await seat.transfers()]
        return first_broken(links, length=head["chain_length"], head=head["chain_head"])

    async def change_by(amount: int) -> None:
        async with database.pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(
                "UPDATE transfers SET amount = amount + $2 WHERE player_key = $1 AND position = 3",
                seat.session.player_key,
                amount,
            )

    assert await broken() is None
    await change_by(1)
    assert await broken() == 3
    await change_by(-1)
    assert await broken() is None


async def test_the_event_holds_what_the_round_holds(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    view = await seat.settle(bet, win=70)
    (event,) = await seat.events()
    assert str(event["event_id"]) == view.event_id
    assert event["sequence"] == view.sequence
    assert event["data"]["round_id"] == view.key.round_id
    assert event["data"]["win"] == {"amount": 70, "currency": "EUR"}
    assert event["data"]["balance"] == {"amount": view.balance, "currency": "EUR"}
    assert view.outcome == OUTCOME


@pytest.mark.parametrize("missing", [{"session_id": "nowhere"}, {"account_id": 2**40}])
async def test_a_bet_of_nobody_is_a_conflict_and_not_retried_for_ever(
    database: Database, missing: dict[str, Any]
) -> None:
    seat, money = await take_seat(database, balance=1_000), LedgerSteps(database.pool)
    bet = seat.bet(**missing)
    with pytest.raises(WalletConflict):
        await money.reserve(bet)
    with pytest.raises(WalletConflict):
        await money.release(ReleaseRequest(bet=bet, failure_code="reserve-uncertain", failure_detail=""))
    with pytest.raises(WalletConflict):
        await money.settle(SettleRequest(bet=bet, resolution=Resolution(outcome=OUTCOME, win=0)))
    assert await seat.money() == (1_000, 0)
