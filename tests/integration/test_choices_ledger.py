"""Rounds that wait for their player, in the ledger on a real PostgreSQL: actions alone, repeated, raced."""

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from contracts.actions import ActionVerdict, PlayerAction
from contracts.choices import Abandonment, Choice, Chosen, Offer
from contracts.rounds import Bet, Resolution, RoundState
from contracts.views import RoundView
from storage import rounds, sessions
from storage.database import Database
from tests.support.conditions import HANG_S, until
from tests.support.ledger import OUTCOME, Seat, take_seat, waiting_for_a_lock

OFFER = Offer(
    choices=[
        Choice(action="collect"),
        Choice(action="pick", params={"box": [1, 2, 3], "side": ["left", "right"]}),
        Choice(action="double", debit=200),
    ],
    default=Chosen(action="collect"),
    decide_within_s=600,
)
PICK = Chosen(action="pick", params={"box": 2, "side": "left"})
COLLECT, DOUBLE = Chosen(action="collect"), Chosen(action="double")


def action(chosen: Chosen, action_id: str | None = None, **changes: Any) -> PlayerAction:
    return PlayerAction(action_id=action_id or uuid4().hex, chosen=chosen, request_id=uuid4().hex, **changes)


async def opened(seat: Seat, bet: Bet, *, actions: int = 0, offer: Offer = OFFER) -> RoundView:
    resolution = Resolution(outcome=OUTCOME, win=50, offer=offer, actions=actions)
    return await rounds.open_round(seat.database.pool, bet.key, resolution)


async def waiting(seat: Seat, **changes: Any) -> Bet:
    """A round of 100 that waits for its player."""
    bet = seat.bet(**changes)
    await seat.reserve(bet)
    assert (await opened(seat, bet)).state is RoundState.AWAITING_CHOICE
    return bet


async def take(seat: Seat, bet: Bet, taken: PlayerAction) -> tuple[ActionVerdict, RoundView]:
    verdict, view = await rounds.take_action(seat.database.pool, bet.key, taken)
    assert view is not None
    return verdict, view


async def settle(seat: Seat, bet: Bet, win: int, *, actions: int) -> RoundView:
    return (await rounds.settle(seat.database.pool, bet.key, OUTCOME, win, actions)).view


async def test_a_round_waits_with_its_offer_and_is_settled_after_its_actions(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = await waiting(seat)
    stands = await rounds.find(database.pool, bet.key)
    assert stands is not None
    assert (stands.offer, stands.outcome, stands.win) == (OFFER, OUTCOME, 0)
    assert stands.left_s is not None
    assert 600 - HANG_S < stands.left_s <= 600

    verdict, after = await take(seat, bet, action(DOUBLE, "a1"))
    assert (verdict, after.state, after.extra, after.open) == ("taken", RoundState.PENDING, 200, None)
    assert await seat.money() == (1_000, 300)
    assert (await opened(seat, bet, actions=1)).state is RoundState.AWAITING_CHOICE
    verdict, after = await take(seat, bet, action(PICK, "a2"))
    assert after.chosen == [DOUBLE, PICK]

    settled = await settle(seat, bet, 450, actions=2)
    assert (settled.state, settled.win, settled.balance, settled.stake, settled.extra) == (
        *(RoundState.SETTLED, 450, 1_150, 100, 200),
    )
    assert await seat.money() == (1_150, 0)
    assert [(t["kind"], t["amount"]) for t in await seat.transfers()][1:] == [("stake", 300), ("win", 450)]
    (event,) = await seat.events()
    assert event["data"]["stake"] == {"amount": 300, "currency": "EUR"}
    assert settled.taken is not None
    assert [(t["action_id"], t["debit"], t["by"]) for t in settled.taken] == [
        *(("a1", 200, "player"), ("a2", 0, "player")),
    ]


async def test_a_repeated_action_is_taken_once_and_another_under_its_id_never(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = await waiting(seat)
    first, again = action(DOUBLE, "once"), action(DOUBLE, "once")
    assert (await take(seat, bet, first))[0] == "taken"
    assert (await take(seat, bet, first))[0] == "taken", "the same request, by a step that is repeated"
    assert (await take(seat, bet, again))[0] == "replayed"
    await opened(seat, bet, actions=1)
    verdict, after = await take(seat, bet, again)
    assert (verdict, after.state, after.actions) == ("replayed", RoundState.AWAITING_CHOICE, 1)
    assert (await take(seat, bet, action(COLLECT, "once")))[0] == "id-reused"
    assert await seat.money() == (1_000, 300)
    await seat.release(bet)
    assert (await take(seat, bet, again))[0] == "replayed", "also after the round's end"


@pytest.mark.parametrize(
    "chosen",
    [
        Chosen(action="steal"),
        Chosen(action="pick"),
        Chosen(action="pick", params={"box": 4, "side": "left"}),
        Chosen(action="pick", params={"box": "2", "side": "left"}),
        Chosen(action="pick", params={"box": True, "side": "left"}),
        Chosen(action="pick", params={"box": 2}),
        Chosen(action="pick", params={"box": 2, "side": "left", "more": 1}),
        Chosen(action="collect", params={"box": 2}),
    ],
)
async def test_only_what_is_offered_is_taken(database: Database, chosen: Chosen) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = await waiting(seat)
    assert (await take(seat, bet, action(chosen)))[0] == "unknown-choice"
    assert OFFER.find(chosen) is None, "the ledger and the workflow agree"


async def test_of_many_actions_at_once_one_is_taken(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = await waiting(seat)
    answers = await asyncio.gather(*(take(seat, bet, action(DOUBLE)) for _ in range(20)))
    assert Counter(verdict for verdict, _ in answers) == {"taken": 1, "wrong-state": 19}
    assert await seat.money() == (1_000, 300)


async def test_of_many_repeats_at_once_one_is_taken(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = await waiting(seat)
    answers = await asyncio.gather(*(take(seat, bet, action(DOUBLE, "same")) for _ in range(20)))
    assert Counter(verdict for verdict, _ in answers) == {"taken": 1, "replayed": 19}
    assert await seat.money() == (1_000, 300)


async def test_a_timer_that_comes_late_changes_nothing(database: Database) -> None:
    """The player acted, the round offers the next step, and only then the timer of the first one comes."""
    seat = await take_seat(database, balance=1_000)
    bet = await waiting(seat)
    await take(seat, bet, action(PICK))
    await opened(seat, bet, actions=1)
    verdict, after = await take(seat, bet, action(COLLECT, "timer-1", by="timer", after=0))
    assert (verdict, after.actions) == ("stale", 1)
    verdict, after = await take(seat, bet, action(COLLECT, "timer-2", by="timer", after=1))
    assert (verdict, after.actions) == ("taken", 2)


async def test_an_outcome_of_fewer_actions_than_were_taken_changes_nothing(database: Database) -> None:
    """A worker computed the outcome, was held up, and comes back when its player has gone on."""
    seat = await take_seat(database, balance=1_000)
    bet = await waiting(seat)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await settle(seat, bet, 9_999, actions=0)  # it waits
    await take(seat, bet, action(DOUBLE))
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await settle(seat, bet, 9_999, actions=0)
    assert (await opened(seat, bet, actions=0)).state is RoundState.PENDING
    assert (await settle(seat, bet, 0, actions=1)).state is RoundState.SETTLED


async def test_an_action_that_the_balance_does_not_cover_may_come_again(database: Database) -> None:
    seat = await take_seat(database, balance=250)
    bet = await waiting(seat)
    verdict, after = await take(seat, bet, action(DOUBLE, "double"))
    assert (verdict, after.state) == ("insufficient-funds", RoundState.AWAITING_CHOICE)
    assert await seat.money() == (250, 100)
    await seat.deposit(50)
    assert (await take(seat, bet, action(DOUBLE, "double")))[0] == "taken"
    assert await seat.money() == (300, 300)


async def test_an_action_and_a_bet_elsewhere_never_spend_the_same_money(database: Database) -> None:
    """Both are held up behind the player's lock, so that each has read what it could before either holds."""
    seat = await take_seat(database, balance=300)
    bet = await waiting(seat)
    other = seat.bet(stake=200, game_id="fruit-lines")
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM players WHERE id = $1 FOR UPDATE", bet.key.player_key)
        taking = asyncio.create_task(take(seat, bet, action(DOUBLE)))
        reserving = asyncio.create_task(seat.reserve(other))
        await until(lambda: _waiting(database, 2))
    verdict, _ = await taking
    reserved = await reserving
    assert sorted([verdict == "taken", reserved.state is RoundState.PENDING]) == [False, True]
    assert await seat.money() == (300, 300)


async def test_a_release_gives_all_stakes_back_and_no_action_comes_after_it(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = await waiting(seat)
    await take(seat, bet, action(DOUBLE))
    await opened(seat, bet, actions=1)
    void = await seat.release(bet)
    assert (void.state, void.offer, void.decide_by, void.extra) == (RoundState.VOID, None, None, 200)
    assert await seat.money() == (1_000, 0)
    verdict, after = await take(seat, bet, action(COLLECT))
    assert (verdict, after.state) == ("round-closed", RoundState.VOID)
    assert (await opened(seat, bet, actions=1)).state is RoundState.VOID
    assert (await settle(seat, bet, 9_999, actions=1)).state is RoundState.VOID


async def test_a_release_and_an_action_at_once_leave_one_end(database: Database) -> None:
    seat = await take_seat(database, balance=10_000)
    for _ in range(10):
        bet = await waiting(seat)
        (verdict, _), void = await asyncio.gather(take(seat, bet, action(DOUBLE)), seat.release(bet))
        assert verdict in ("taken", "round-closed")
        assert void.state is RoundState.VOID
        assert await seat.money() == (10_000, 0)


async def test_whoever_may_not_bet_may_go_on_but_stake_no_more(database: Database) -> None:
    for refuse, code in ((_block, "player-blocked"), (_end, "session-expired"), (_expire, "session-expired")):
        seat = await take_seat(database, balance=1_000)
        bet = await waiting(seat)
        await refuse(seat)
        assert (await take(seat, bet, action(DOUBLE)))[0] == code
        assert (await take(seat, bet, action(PICK)))[0] == "taken"


async def test_a_round_that_is_to_be_held_has_no_time_limit(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    held = Offer(
        choices=[Choice(action="go")],
        default=Chosen(action="go"),
        decide_within_s=1,
        abandonment=Abandonment.HOLD,
    )
    view = await opened(seat, bet, offer=held)
    assert (view.decide_by, view.left_s) == (None, None)


async def test_actions_are_never_changed(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    bet = await waiting(seat)
    await take(seat, bet, action(DOUBLE))
    for change in ("UPDATE round_actions SET debit = 0", "DELETE FROM round_actions"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await database.pool.execute(f"{change} WHERE player_key = $1", bet.key.player_key)


async def _waiting(database: Database, count: int) -> bool:
    return await waiting_for_a_lock(database) >= count


async def _block(seat: Seat) -> None:
    await seat.database.pool.execute(
        "UPDATE players SET blocked = true WHERE id = $1", seat.session.player_key
    )


async def _end(seat: Seat) -> None:
    await sessions.end_session(
        seat.database.pool, session_id=seat.session.session_id, operator_id=seat.session.operator_id
    )


async def _expire(seat: Seat) -> None:
    await seat.database.pool.execute(
        "UPDATE sessions SET expires_at = clock_timestamp() WHERE id = $1", seat.session.session_id
    )
