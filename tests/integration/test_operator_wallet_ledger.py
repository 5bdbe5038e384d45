"""Rounds at an operator's wallet, as our ledger decides and records them: on a real PostgreSQL, each
operation alone, repeated, out of order, and raced. No wallet is asked here; the tests say what it answered.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import asyncpg
import pytest

from contracts.rounds import Bet, Resolution, RoundState
from contracts.views import RoundView, Settlement
from contracts.wallet import WalletAnswer, WalletCall, WalletRequest, WalletVerdict
from storage import operator_wallets, sessions
from storage.database import Database
from storage.operator_wallets import Decision, StoredWallet, Verdict
from tests.conftest import Services
from tests.support.databases import own_database
from tests.support.ledger import OUTCOME, Seat, take_seat
from verification.invariants.invariant import violations
from verification.invariants.table import INVARIANTS

OPERATOR: Final = "casino"
SEALED: Final = "v1.test." + "A" * 60
# What the wallet says it has left after the stake of 100.
AFTER_BET: Final = 900
# Only a broker and a consumer bring these to their end.
NOT_OF_THE_LEDGER: Final = ("events-published", "events-applied", "statistics-are-rounds")


@dataclass(frozen=True, slots=True)
class WalletSeat:
    """A player of an operator with a wallet of its own."""

    seat: Seat

    @property
    def pool(self) -> asyncpg.Pool:
        return self.seat.database.pool

    def bet(self, round_id: str | None = None, **changes: Any) -> Bet:
        return self.seat.bet(round_id, **changes)

    async def begin(self, bet: Bet) -> Decision:
        return await operator_wallets.begin_bet(self.pool, bet, f"bet-{bet.key.round_id}")

    async def accept(self, bet: Bet) -> Decision:
        return await operator_wallets.accept_bet(self.pool, bet, balance=AFTER_BET)

    async def decline(self, bet: Bet, balance: int | None = 40) -> Decision:
        return await operator_wallets.decline_bet(
            self.pool, bet, failure_code="insufficient-funds", failure_detail=None, balance=balance
        )

    async def record(self, bet: Bet, win: int = 250) -> Settlement:
        resolution = Resolution(outcome=OUTCOME, win=win)
        return (await operator_wallets.record_result(self.pool, bet.key, resolution))[0]

    async def close(self, bet: Bet, balance: int | None = 1_150) -> Settlement:
        return await operator_wallets.close(self.pool, bet.key, balance=balance)

    async def begin_release(self, bet: Bet) -> Decision:
        return await operator_wallets.begin_release(
            self.pool, bet, failure_code="resolve-failed", failure_detail="for a test"
        )

    async def release(self, bet: Bet, code: str = "resolve-failed") -> RoundView:
        return await operator_wallets.release(
            self.pool, bet, failure_code=code, failure_detail="for a test", balance=1_000
        )

    async def pending(self, bet: Bet) -> RoundView:
        """A round whose stake the wallet has taken."""
        await self.begin(bet)
        view = (await self.accept(bet)).view
        assert view is not None
        return view

    async def kinds(self) -> list[tuple[str, int]]:
        return [(t["kind"], t["amount"]) for t in await self.seat.transfers()]

    async def wallet_bet(self, bet: Bet) -> asyncpg.Record:
        return await self.pool.fetchrow(
            "SELECT * FROM wallet_bets WHERE player_key = $1 AND round_id = $2",
            bet.key.player_key,
            bet.key.round_id,
        )


@pytest.fixture(scope="module")
async def ledger(services: Services) -> AsyncIterator[Database]:
    """A database of its own: the invariants are asked of all of it after each test."""
    async with own_database(services, connections=20) as opened:
        await opened.pool.execute("INSERT INTO operators (id, name) VALUES ($1, $1)", OPERATOR)
        assert await operator_wallets.store(opened.pool, _stored())
        yield opened


@pytest.fixture
async def seat(ledger: Database) -> AsyncIterator[WalletSeat]:
    """A player without money of ours; whatever the test did, every invariant holds after it."""
    yield WalletSeat(await take_seat(ledger, operator_id=OPERATOR))
    await assert_sound(ledger)


async def another(seat: WalletSeat, **changes: Any) -> WalletSeat:
    return WalletSeat(await take_seat(seat.seat.database, operator_id=OPERATOR, **changes))


async def assert_sound(database: Database) -> None:
    async with (
        database.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for invariant in INVARIANTS:
            if invariant.name not in NOT_OF_THE_LEDGER:
                found = await violations(connection, invariant, overdue_after_s=3600)
                assert found.count == 0, f"{invariant.name}: {found.examples}"


# One at a time


async def test_a_settled_round_collects_the_stake_and_pays_the_win(seat: WalletSeat) -> None:
    bet = seat.bet()
    assert await seat.begin(bet) == Decision(Verdict.ASK, None)
    pending = (await seat.accept(bet)).view
    assert pending is not None
    assert (pending.state, pending.nonce) == (RoundState.PENDING, 0)
    assert await seat.seat.money() == (100, 100)

    recorded = await seat.record(bet)
    assert (recorded.view.state, recorded.view.outcome, recorded.view.win) == (
        RoundState.SETTLING,
        OUTCOME,
        250,
    )
    assert recorded.event is None
    assert await seat.seat.money() == (100, 100)

    settled = await seat.close(bet)
    assert (settled.view.state, settled.view.win, settled.view.balance, settled.view.sequence) == (
        RoundState.SETTLED,
        250,
        1_150,
        2,  # after the session
    )
    assert settled.event is not None
    assert await seat.seat.money() == (0, 0)
    assert await seat.kinds() == [("collected", 100), ("stake", 100), ("win", 250), ("paid", 250)]
    assert [t["available_after"] for t in await seat.seat.transfers()] == [0, 0, 250, 0]


async def test_a_lost_round_pays_nothing(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.pending(bet)
    await seat.record(bet, win=0)
    assert (await seat.close(bet, balance=AFTER_BET)).view.state is RoundState.SETTLED
    assert await seat.kinds() == [("collected", 100), ("stake", 100)]


async def test_a_balance_that_the_wallet_did_not_tell_follows_from_the_one_after_the_bet(
    seat: WalletSeat,
) -> None:
    bet = seat.bet()
    await seat.pending(bet)
    await seat.record(bet, win=250)
    assert (await seat.close(bet, balance=None)).view.balance == AFTER_BET + 250


async def test_a_clear_refusal_is_a_declined_round_with_the_wallets_balance(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.begin(bet)
    declined = (await seat.decline(bet)).view
    assert declined is not None
    assert (declined.state, declined.failure_code, declined.balance) == (
        RoundState.DECLINED,
        "insufficient-funds",
        40,
    )
    assert (await seat.begin(bet)).view == declined
    assert await seat.kinds() == []
    assert (await seat.begin(seat.bet())).verdict is Verdict.ASK


async def test_what_we_refuse_ourselves_is_never_asked(seat: WalletSeat) -> None:
    open_bet = seat.bet()
    await seat.begin(open_bet)
    second = await seat.begin(seat.bet())
    assert second.view is not None
    assert (second.view.failure_code, second.view.failure_detail) == ("round-open", open_bet.key.round_id)
    await seat.accept(open_bet)
    third = await seat.begin(seat.bet())
    assert third.view is not None
    assert third.view.failure_code == "round-open"
    await seat.begin_release(open_bet)
    await seat.release(open_bet)

    await sessions.end_session(seat.pool, session_id=seat.seat.session.session_id, operator_id=OPERATOR)
    expired = await seat.begin(seat.bet())
    assert expired.view is not None
    assert expired.view.failure_code == "session-expired"
    await seat.pool.execute("UPDATE players SET blocked = true WHERE id = $1", open_bet.key.player_key)
    blocked = await seat.begin(seat.bet())
    assert blocked.view is not None
    assert (blocked.view.failure_code, blocked.view.balance) == ("player-blocked", None)
    assert await seat.begin(blocked.view.bet) == blocked
    told = [event for event in await seat.seat.every_event() if event["subject"] == blocked.view.key.round_id]
    assert [event["type"] for event in told] == ["round.declined"], "once"
    assert told[0]["data"]["failure"] == {"code": "player-blocked"}


async def test_a_bet_under_way_goes_on_though_its_session_ends(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.begin(bet)
    await sessions.end_session(seat.pool, session_id=seat.seat.session.session_id, operator_id=OPERATOR)
    assert (await seat.begin(bet)).verdict is Verdict.ASK
    await seat.accept(bet)
    await seat.record(bet)
    assert (await seat.close(bet)).view.state is RoundState.SETTLED


async def test_a_void_round_returns_the_stake_to_the_wallet(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.pending(bet)
    assert await seat.begin_release(bet) == Decision(Verdict.ROLLBACK, None)
    void = await seat.release(bet)
    assert (void.state, void.failure_code, void.balance) == (RoundState.VOID, "resolve-failed", 1_000)
    assert await seat.kinds() == [("collected", 100), ("returned", 100)]
    assert await seat.seat.money() == (0, 0)
    assert [e["type"] for e in await seat.seat.events()] == ["round.void"]


async def test_a_release_of_what_was_never_asked_needs_no_wallet(seat: WalletSeat) -> None:
    bet = seat.bet()
    released = await seat.begin_release(bet)
    assert released.verdict is Verdict.STANDS
    assert released.view is not None
    assert released.view.state is RoundState.VOID
    assert (await seat.begin(bet)).view == released.view
    assert await seat.wallet_bet(bet) is None


async def test_every_operation_repeated_answers_the_same_and_moves_nothing_more(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.begin(bet)
    for step in (seat.accept, seat.record, seat.close):
        first = await step(bet)
        repeated = await step(bet)
        assert _view(first) == _view(repeated)
    assert len(await seat.seat.transfers()) == 4
    assert len(await seat.seat.events()) == 1

    bet = seat.bet()
    await seat.pending(bet)
    assert await seat.begin_release(bet) == await seat.begin_release(bet)
    assert await seat.release(bet) == await seat.release(bet)
    assert len(await seat.seat.events()) == 2


async def test_a_recorded_result_is_the_first_and_never_changes(seat: WalletSeat) -> None:
    """The interleaving: two attempts computed the result, the second one with another game's version."""
    bet = seat.bet()
    await seat.pending(bet)
    first = await seat.record(bet, win=250)
    assert await seat.record(bet, win=9_999) == first
    for change in ("win = win + 1", "outcome = '{}'", "state = 'pending'", "state = 'declined'"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await seat.pool.execute(
                f"UPDATE rounds SET {change} WHERE player_key = $1 AND round_id = $2",  # noqa: S608
                bet.key.player_key,
                bet.key.round_id,
            )
    assert (await seat.close(bet)).view.win == 250


# The interleavings of two that contradict each other


async def test_a_result_that_was_recorded_first_is_never_released(seat: WalletSeat) -> None:
    """The interleaving: the win is on its way to the wallet while somebody releases the round."""
    bet = seat.bet()
    await seat.pending(bet)
    recorded = await seat.record(bet)
    assert (await seat.begin_release(bet)).view == recorded.view
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await seat.seat.release(bet)
    assert (await seat.close(bet)).view.state is RoundState.SETTLED


async def test_a_release_that_was_decided_first_lets_no_result_be_recorded(seat: WalletSeat) -> None:
    """The interleaving: the rollback is on its way to the wallet while a late attempt settles the round."""
    bet = seat.bet()
    await seat.pending(bet)
    await seat.begin_release(bet)
    late = (await seat.record(bet)).view
    assert (late.state, late.outcome, late.win) == (RoundState.PENDING, None, 0)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await seat.close(bet)
    void = await seat.release(bet)
    assert (await seat.record(bet)).view == void
    assert (await seat.close(bet)).view == void


async def test_a_bet_that_the_wallet_takes_during_its_release_makes_no_round(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.begin(bet)
    assert (await seat.begin_release(bet)).verdict is Verdict.ROLLBACK
    for step in (seat.begin, seat.accept, seat.decline):
        assert await step(bet) == Decision(Verdict.RELEASING, None)
    void = await seat.release(bet)
    assert (await seat.accept(bet)).view == void
    assert await seat.kinds() == []


async def test_a_refusal_is_final_only_when_the_bet_was_asked_once(seat: WalletSeat) -> None:
    """The interleaving: the first asking timed out and is taken late, the second one is refused."""
    bet = seat.bet()
    await seat.begin(bet)
    assert (await seat.begin(bet)).verdict is Verdict.ASK
    assert await seat.decline(bet) == Decision(Verdict.UNCERTAIN, None)
    assert (await seat.accept(bet)).verdict is Verdict.STANDS
    decided = await seat.decline(bet)
    assert decided.view is not None
    assert decided.view.state is RoundState.PENDING
    await seat.begin_release(bet)
    await seat.release(bet)


async def test_a_release_is_not_completed_before_it_was_decided(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.pending(bet)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await seat.release(bet)
    await seat.begin_release(bet)
    await seat.release(bet)


async def test_a_release_returns_the_stake_from_the_account_of_the_round(seat: WalletSeat) -> None:
    """Whatever account of the player the bet names: what was collected there is not another round's."""
    dollars = await take_seat(
        seat.seat.database,
        operator_id=OPERATOR,
        player_id=seat.seat.session.player_id,
        game_id="fruit-lines",
        currency="USD",
    )
    bet, other = seat.bet(), WalletSeat(dollars).bet()
    await seat.pending(bet)
    await WalletSeat(dollars).pending(other)
    await seat.begin_release(bet)
    await seat.release(replace(bet, account_id=dollars.session.account_id))
    assert (await seat.seat.money(), await dollars.money()) == ((0, 0), (100, 100))
    await WalletSeat(dollars).begin_release(other)
    await WalletSeat(dollars).release(other)


async def test_a_win_that_the_wallet_refuses_as_rolled_back_ends_void_and_keeps_its_outcome(
    seat: WalletSeat,
) -> None:
    bet = seat.bet()
    await seat.pending(bet)
    await seat.record(bet)
    void = await seat.release(bet, "rolled-back")
    assert (void.state, void.outcome, void.win, void.failure_code) == (
        RoundState.VOID,
        OUTCOME,
        0,
        "rolled-back",
    )
    assert (await seat.close(bet)).view == void
    assert await seat.kinds() == [("collected", 100), ("returned", 100)]


async def test_a_worker_that_knows_no_wallet_touches_no_round_of_one(seat: WalletSeat) -> None:
    """The interleaving: an operator's wallet was set a moment ago, and one of two workers knows."""
    bet = seat.bet()
    await seat.begin(bet)
    for step in (seat.seat.reserve, seat.seat.release):
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await step(bet)
    assert (await seat.seat.reserve(seat.bet())).failure_code == "round-open"
    await seat.accept(bet)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await seat.seat.settle(bet, win=5)
    await seat.record(bet)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await seat.seat.settle(bet, win=5)
    await seat.close(bet)


async def test_a_worker_that_knows_the_wallet_ends_the_rounds_of_our_ledger_there(seat: WalletSeat) -> None:
    await seat.seat.deposit(1_000)
    won, failed = seat.bet(), seat.bet()
    held = await seat.seat.reserve(won)
    assert (await seat.begin(won)).view == held
    assert (await seat.record(won)).view.state is RoundState.SETTLED
    await seat.seat.reserve(failed)
    released = (await seat.begin_release(failed)).view
    assert released is not None
    assert released.state is RoundState.VOID
    assert await seat.seat.money() == (1_150, 0)
    assert "collected" not in dict(await seat.kinds())


async def test_every_order_of_what_may_follow_a_bet_ends_in_one_terminal(seat: WalletSeat) -> None:
    """What two attempts and a release may do to one round, in every order: what cannot be is refused."""
    one_game_each = itertools.count()
    for order in itertools.permutations(("accept", "decline", "record", "close", "begin_release", "release")):
        own = await another(seat, game_id=f"g{next(one_game_each)}")
        bet = own.bet()
        await own.begin(bet)
        for name in order:
            await _attempt(getattr(own, name), bet)
        view = await _driven_to_its_end(own, bet)
        assert view.state.final
        assert len(await own.seat.events()) == (0 if view.state is RoundState.DECLINED else 1)
        assert await own.seat.money() == (0, 0)


# Raced


async def test_twenty_begins_at_once_ask_for_one_round_of_a_game(seat: WalletSeat) -> None:
    decided = await asyncio.gather(*(seat.begin(seat.bet()) for _ in range(20)))
    assert Counter(d.verdict for d in decided) == {Verdict.ASK: 1, Verdict.STANDS: 19}


async def test_twenty_accepts_at_once_collect_once(seat: WalletSeat) -> None:
    bet = seat.bet()
    await seat.begin(bet)
    decided = await asyncio.gather(*(seat.accept(bet) for _ in range(20)))
    assert len({repr(d.view) for d in decided}) == 1
    assert await seat.kinds() == [("collected", 100)]


async def test_twenty_closes_and_releases_at_once_end_a_round_once(seat: WalletSeat) -> None:
    """The interleaving: the win was taken and the rollback was taken, and both close the round."""
    for _ in range(5):
        own = await another(seat)
        bet = own.bet()
        await own.pending(bet)
        await asyncio.gather(
            *(
                _all(own, bet, "record", "close") if n % 2 else _all(own, bet, "begin_release", "release")
                for n in range(20)
            )
        )
        assert (await _driven_to_its_end(own, bet)).state.final
        assert len(await own.seat.events()) == 1
        assert await own.seat.money() == (0, 0)


async def test_an_accept_that_races_its_release_never_leaves_a_hold(seat: WalletSeat) -> None:
    for _ in range(20):
        own = await another(seat)
        bet = own.bet()
        await own.begin(bet)
        await asyncio.gather(own.accept(bet), _all(own, bet, "begin_release", "release"))
        assert await own.seat.money() == (0, 0)
        assert [e["type"] for e in await own.seat.events()] == ["round.void"]


async def test_a_decline_that_races_an_accept_of_another_asking_decides_once(seat: WalletSeat) -> None:
    for _ in range(10):
        own = await another(seat)
        bet = own.bet()
        await own.begin(bet)
        await asyncio.gather(own.decline(bet), _all(own, bet, "begin"))
        view = await _driven_to_its_end(own, bet)
        assert view.state in (RoundState.DECLINED, RoundState.SETTLED)


async def test_the_bets_of_several_players_and_one_round_id_do_not_meet(seat: WalletSeat) -> None:
    other = await another(seat)
    for own in (seat, other):
        await own.pending(own.bet("same"))
        await own.record(own.bet("same"))
        assert (await own.close(own.bet("same"))).view.sequence == 2  # after the session


# What is written stays


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE wallet_bets SET stake = stake + 1 WHERE player_key = $1",
        "UPDATE wallet_bets SET resolved_at = NULL WHERE player_key = $1",
        "DELETE FROM wallet_bets WHERE player_key = $1",
        "UPDATE wallet_attempts SET code = 'x' WHERE player_key = $1",
        "DELETE FROM wallet_attempts WHERE player_key = $1",
    ],
)
async def test_what_is_written_of_a_wallet_stays(seat: WalletSeat, statement: str) -> None:
    bet = seat.bet()
    await seat.pending(bet)
    await _record_attempt(seat, bet, WalletVerdict.ACCEPTED)
    await seat.record(bet)
    await seat.close(bet)
    with pytest.raises(asyncpg.RestrictViolationError):
        await seat.pool.execute(statement, bet.key.player_key)


@pytest.mark.parametrize("table", ["wallet_bets", "wallet_attempts"])
async def test_tables_of_record_cannot_be_emptied(seat: WalletSeat, table: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await seat.pool.execute(f"TRUNCATE {table} CASCADE")


async def test_an_attempt_says_whether_it_is_the_first_of_its_kind(seat: WalletSeat) -> None:
    bet = seat.bet()
    told = [
        await _record_attempt(seat, bet, verdict)
        for verdict in (WalletVerdict.UNKNOWN, WalletVerdict.REFUSED, WalletVerdict.REFUSED)
    ]
    assert told == [True, True, False]


async def test_a_bet_of_nobody_is_refused_and_leaves_nothing(seat: WalletSeat) -> None:
    for missing in ({"session_id": "nowhere"}, {"account_id": 2**40}):
        with pytest.raises(asyncpg.NoDataFoundError):
            await seat.begin(seat.bet(**missing))
    assert (
        await seat.pool.fetchval(
            "SELECT count(*) FROM wallet_bets WHERE player_key = $1", seat.bet().key.player_key
        )
        == 0
    )


async def test_a_wallet_is_stored_once_and_replaced(seat: WalletSeat) -> None:
    changed = replace(_stored(), url="https://elsewhere.example/wallet", calls=4)
    assert await operator_wallets.store(seat.pool, changed)
    assert await operator_wallets.read_all(seat.pool) == [changed]
    assert await operator_wallets.store(seat.pool, _stored())
    assert not await operator_wallets.store(seat.pool, replace(_stored(), operator_id="nobody"))


def _stored() -> StoredWallet:
    return StoredWallet(
        operator_id=OPERATOR,
        url="https://wallet.example",
        dialect="croupier",
        sealed_secrets=SEALED,
        local=False,
    )


def _view(result: Decision | Settlement | RoundView) -> RoundView | None:
    return result if isinstance(result, RoundView) else result.view


async def _attempt(step: Callable[[Bet], Awaitable[object]], bet: Bet) -> None:
    """An operation that the ledger may refuse, in which case nothing may have changed."""
    with suppress(asyncpg.ObjectNotInPrerequisiteStateError, asyncpg.NoDataFoundError):
        await step(bet)


async def _all(seat: WalletSeat, bet: Bet, *names: str) -> None:
    for name in names:
        await _attempt(getattr(seat, name), bet)


async def _driven_to_its_end(seat: WalletSeat, bet: Bet) -> RoundView:
    """As the workflow goes on: a round that is not released is settled, one that is released is released."""
    begun = await seat.begin(bet)
    if begun.verdict is Verdict.ASK:
        begun = await seat.accept(bet)
    if begun.verdict is Verdict.RELEASING:
        return await seat.release(bet)
    recorded = (await seat.record(bet)).view
    if recorded.state is RoundState.SETTLING:
        return (await seat.close(bet)).view
    return recorded if recorded.state.final else await seat.release(bet)


async def _record_attempt(seat: WalletSeat, bet: Bet, verdict: WalletVerdict) -> bool:
    request = WalletRequest(
        call=WalletCall.WIN,
        operator_id=OPERATOR,
        player_id=bet.player_id,
        session_id=bet.session_id,
        currency=bet.currency,
        transaction_id="t",
        amount=5,
    )
    answer = WalletAnswer(verdict=verdict, code="x", detail="long " * 1_000)
    return await operator_wallets.record_attempt(seat.pool, bet.key, request, answer, took_us=7)
