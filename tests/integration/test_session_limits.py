"""Limits where they are enforced: in the functions that take a stake, under the player's lock, in our ledger
and before an operator's wallet is asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from contracts.actions import ActionVerdict, PlayerAction
from contracts.choices import Choice, Chosen, Offer
from contracts.limits import SessionLimits
from contracts.rounds import Bet, Resolution
from contracts.views import RoundView
from storage import game_switches, operator_wallets, players, rounds, sessions
from storage.bets import bet_arguments
from storage.database import Database
from storage.operator_wallets import Verdict
from tests.conftest import Services
from tests.support.acting import BY
from tests.support.conditions import until
from tests.support.databases import own_database
from tests.support.ledger import Seat, take_seat, waiting_for_a_lock

Declined = tuple[str | None, str | None]


class Ours:
    """A stake from our own ledger."""

    async def declined(self, seat: Seat, bet: Bet) -> Declined:
        view = await seat.reserve(bet)
        return view.failure_code, view.failure_detail

    async def play(self, seat: Seat, bet: Bet, win: int) -> RoundView:
        await seat.reserve(bet)
        return await seat.settle(bet, win)


class Theirs:
    """A stake that an operator's wallet is about to be asked for."""

    async def declined(self, seat: Seat, bet: Bet) -> Declined:
        begun = await operator_wallets.begin_bet(seat.database.pool, bet, uuid4().hex)
        return (begun.view.failure_code, begun.view.failure_detail) if begun.view else (None, None)

    async def play(self, seat: Seat, bet: Bet, win: int) -> RoundView:
        pool = seat.database.pool
        begun = await operator_wallets.begin_bet(pool, bet, uuid4().hex)
        assert begun.verdict is Verdict.ASK
        await operator_wallets.accept_bet(pool, bet, balance=5_000)
        await operator_wallets.record_result(pool, bet.key, Resolution(outcome={"roll": 1}, win=win))
        return (await operator_wallets.close(pool, bet.key, balance=5_000)).view


Way = Ours | Theirs


@pytest.fixture(scope="module")
async def database(services: Services) -> AsyncIterator[Database]:
    """One of its own: its operators have no wallet on record, whatever is asked about one here."""
    async with own_database(services, connections=10) as opened:
        yield opened


@pytest.fixture(params=[Ours(), Theirs()], ids=["ours", "theirs"])
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


async def seated(database: Database, **limits: Any) -> Seat:
    return await take_seat(database, balance=100_000, limits=SessionLimits(**limits))


async def test_a_stake_above_the_highest_one_is_declined(database: Database, way: Way) -> None:
    seat = await seated(database, max_stake=200)
    assert await way.declined(seat, seat.bet(stake=201)) == ("limit-exceeded", "max_stake")
    assert (await way.play(seat, seat.bet(stake=200), 0)).state == "settled"


async def test_a_stake_off_the_sessions_ladder_is_declined(database: Database, way: Way) -> None:
    seat = await seated(database, stakes=(100, 500))
    assert await way.declined(seat, seat.bet(stake=200)) == ("stake-not-allowed", "stakes")
    assert (await way.play(seat, seat.bet(stake=500), 0)).state == "settled"


async def test_a_stake_that_could_exceed_the_loss_limit_is_declined(database: Database, way: Way) -> None:
    """The net loss counts, so a win makes room."""
    seat = await seated(database, loss_limit=300)
    await way.play(seat, seat.bet(stake=200), 0)
    assert await way.declined(seat, seat.bet(stake=101)) == ("limit-exceeded", "loss_limit")
    await way.play(seat, seat.bet(stake=100), 50)
    assert await way.declined(seat, seat.bet(stake=51)) == ("limit-exceeded", "loss_limit")
    await way.play(seat, seat.bet(stake=50), 400)
    assert (await way.play(seat, seat.bet(stake=400), 0)).state == "settled"


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        ({"loss_limit": 299}, "limit-exceeded"),
        ({"max_stake": 299}, "limit-exceeded"),
        ({"loss_limit": 300, "max_stake": 300}, "taken"),
    ],
)
async def test_what_an_action_costs_is_asked_about_with_the_stake(
    database: Database, limits: dict[str, int], verdict: str
) -> None:
    seat = await seated(database, **limits)
    bet = seat.bet(stake=100)
    await seat.reserve(bet)
    await _offer_more(seat, bet, debit=200)
    assert (await _take_more(seat, bet))[0] == verdict
    if verdict == "taken":
        await rounds.settle(database.pool, bet.key, {"roll": 1}, 0, 1)
        assert (await _session(seat))["lost"] == 300


async def test_an_action_that_costs_something_needs_a_session_in_its_time(database: Database) -> None:
    seat = await seated(database, max_session_s=600)
    bet = seat.bet(stake=100)
    await seat.reserve(bet)
    await _offer_more(seat, bet, debit=200)
    await database.pool.execute(
        "UPDATE sessions SET created_at = created_at - interval '10 minutes' WHERE id = $1",
        seat.session.session_id,
    )
    assert (await _take_more(seat, bet))[0] == "session-expired"


async def test_a_round_that_is_released_costs_nothing_of_the_loss_limit(database: Database) -> None:
    seat = await seated(database, loss_limit=100)
    void = seat.bet()
    await seat.reserve(void)
    await seat.release(void)
    assert (await Ours().play(seat, seat.bet(), 0)).state == "settled"


async def test_what_a_settled_round_cost_is_counted_once(database: Database) -> None:
    seat = await seated(database, loss_limit=300)
    bet = seat.bet()
    await Ours().play(seat, bet, 0)
    await seat.settle(bet, 0)
    assert (await _session(seat))["lost"] == 100


async def test_a_session_without_a_loss_limit_counts_nothing(database: Database, way: Way) -> None:
    seat = await seated(database, max_stake=200)
    await way.play(seat, seat.bet(), 0)
    assert (await _session(seat))["lost"] == 0


async def test_a_bet_that_waits_for_a_settle_finds_the_loss_that_it_counts(
    database: Database, way: Way
) -> None:
    """Two bets that together exceed the loss limit: the second one is on its way while the first one settles.
    It would pass if the session were read before the player's lock is had."""
    seat = await seated(database, loss_limit=150)
    first, second = seat.bet(), seat.bet()
    await seat.reserve(first)
    async with database.pool.acquire() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.fetchrow(rounds.SETTLE, first.key.player_key, first.key.round_id, {"roll": 1}, 0, 0)
        waiting = asyncio.create_task(way.declined(seat, second))
        await until(_somebody_waits(database))
        await transaction.commit()
    assert await waiting == ("limit-exceeded", "loss_limit")


async def test_of_many_bets_at_once_no_more_are_lost_than_the_limit(database: Database) -> None:
    seat = await seated(database, loss_limit=250)

    async def play(bet: Bet) -> None:
        if (await seat.reserve(bet)).state == "pending":
            await seat.settle(bet, 0)

    for _ in range(4):
        await asyncio.gather(*(play(seat.bet()) for _ in range(8)))
    assert (await _session(seat))["lost"] == 200
    assert await seat.money() == (99_800, 0)


async def test_a_round_that_began_in_its_time_settles_after_it(database: Database, way: Way) -> None:
    seat = await seated(database, max_session_s=600, loss_limit=1_000)
    bet = seat.bet()
    if isinstance(way, Ours):
        await seat.reserve(bet)
    else:
        await operator_wallets.begin_bet(database.pool, bet, uuid4().hex)
        await operator_wallets.accept_bet(database.pool, bet, balance=5_000)
    await database.pool.execute(
        "UPDATE sessions SET created_at = created_at - interval '10 minutes' WHERE id = $1",
        seat.session.session_id,
    )
    if isinstance(way, Ours):
        assert (await seat.settle(bet, 40)).state == "settled"
    else:
        await operator_wallets.record_result(database.pool, bet.key, Resolution(outcome={"roll": 1}, win=40))
        assert (await operator_wallets.close(database.pool, bet.key, balance=1)).view.state == "settled"
    assert (await _session(seat))["lost"] == 60
    assert await way.declined(seat, seat.bet()) == ("session-expired", "max_session_s")


async def test_a_bet_too_soon_is_declined_in_another_session_of_the_game_too(
    database: Database, way: Way
) -> None:
    seat = await seated(database, min_cycle_ms=600_000)
    await way.play(seat, seat.bet(), 0)
    again = await take_seat(
        database,
        operator_id=seat.session.operator_id,
        player_id=seat.session.player_id,
        limits=SessionLimits(min_cycle_ms=600_000),
    )
    for session in (seat, again):
        code, detail = await way.declined(session, session.bet())
        assert (code, str(detail).split()[0]) == ("limit-exceeded", "min_cycle_ms")
        assert 0 < int(str(detail).split()[1]) <= 600_000
    await database.pool.execute(
        "UPDATE round_starts SET started_at = started_at - interval '10 minutes' WHERE player_key = $1",
        seat.session.player_key,
    )
    assert (await way.play(again, again.bet(), 0)).state == "settled"


async def test_a_bet_that_was_declined_began_no_round(database: Database, way: Way) -> None:
    seat = await seated(database, min_cycle_ms=60_000, max_stake=100)
    await way.declined(seat, seat.bet(stake=200))
    assert (await way.play(seat, seat.bet(), 0)).state == "settled"


async def test_a_repeat_answers_what_was_stored_whatever_the_limits_say_now(database: Database) -> None:
    seat = await seated(database, loss_limit=100)
    bet = seat.bet()
    played = await Ours().play(seat, bet, 0)
    assert await seat.reserve(bet) == played


async def test_a_game_that_is_switched_off_takes_no_stake_of_this_operators(
    database: Database, way: Way
) -> None:
    seat, neighbour = await seated(database), await seated(database)
    operator_id = seat.session.operator_id
    await game_switches.switch(database.pool, operator_id=operator_id, game_id="dice", enabled=False, by=BY)
    assert await way.declined(seat, seat.bet()) == ("game-disabled", None)
    assert (await way.play(neighbour, neighbour.bet(), 0)).state == "settled"
    await game_switches.switch(database.pool, operator_id=operator_id, game_id="dice", enabled=True, by=BY)
    assert (await way.play(seat, seat.bet(), 0)).state == "settled"


async def test_who_hears_that_a_player_is_blocked_sees_no_bet_after(database: Database) -> None:
    """The block waits for a stake that is being taken, and one that comes later waits for the block."""
    seat = await seated(database)
    bet = seat.bet()
    async with database.pool.acquire() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.fetchrow(rounds.RESERVE, *bet_arguments(bet))
        blocking = asyncio.create_task(
            players.block(
                database.pool,
                operator_id=seat.session.operator_id,
                player_id=seat.session.player_id,
                blocked=True,
                by=BY,
            )
        )
        await until(_somebody_waits(database))
        assert not blocking.done()
        await transaction.commit()
    assert await blocking
    assert (await seat.settle(bet, 0)).state == "settled"
    assert await Ours().declined(seat, seat.bet()) == ("player-blocked", None)


async def test_a_session_that_has_ended_is_not_prolonged(database: Database) -> None:
    seat = await seated(database)
    named = {"session_id": seat.session.session_id, "operator_id": seat.session.operator_id}
    later = seat.session.expires_at + timedelta(days=365)
    assert await sessions.prolong_session(database.pool, **named, until=later) == later
    earlier = seat.session.expires_at
    assert await sessions.prolong_session(database.pool, **named, until=earlier) == later
    await sessions.end_session(database.pool, **named)
    assert await sessions.prolong_session(database.pool, **named, until=later) is None


async def _offer_more(seat: Seat, bet: Bet, *, debit: int) -> None:
    """The round waits: the player may stake as much more, or stop."""
    offer = Offer(
        choices=[Choice(action="more", debit=debit), Choice(action="stop")],
        default=Chosen(action="stop"),
        decide_within_s=60,
    )
    opened = await rounds.open_round(
        seat.database.pool, bet.key, Resolution(outcome={"roll": 1}, win=0, offer=offer)
    )
    assert opened.state == "awaiting_choice"


async def _take_more(seat: Seat, bet: Bet) -> tuple[ActionVerdict, RoundView | None]:
    action = PlayerAction(action_id="a-1", chosen=Chosen(action="more"), request_id=uuid4().hex)
    return await rounds.take_action(seat.database.pool, bet.key, action)


async def _session(seat: Seat) -> Any:
    return await seat.database.pool.fetchrow("SELECT * FROM sessions WHERE id = $1", seat.session.session_id)


def _somebody_waits(database: Database) -> Callable[[], Awaitable[int]]:
    async def waits() -> int:
        return await waiting_for_a_lock(database)

    return waits
