"""A person's decisions about rounds, as the ledger takes them: on a real PostgreSQL, each alone, repeated,
and against whatever else happens to the round at that moment.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest

from contracts.interventions import (
    Action,
    InterveneRequest,
    Intervention,
    InterventionResult,
    InterventionVerdict,
)
from contracts.rounds import Bet, RoundState, SettleRequest
from contracts.views import RoundView
from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletVerdict
from storage import interventions, rounds, timeline
from storage.database import Database, open_database
from storage.operator_wallets import Verdict
from tests.conftest import Services
from tests.integration.test_operator_wallet_ledger import AFTER_BET, WalletSeat
from tests.integration.test_operator_wallet_steps import ACCEPTED, TIMEOUT, WON, Table, refused
from tests.support.databases import as_application, own_database, owner_url
from tests.support.ledger import OUTCOME, Seat, take_seat
from verification.invariants.events import EVENTS_AGREE, ONE_EVENT, SEQUENCES_GAPLESS
from verification.invariants.invariant import violations
from verification.invariants.money import BALANCES_ARE_POSTINGS, HOLDS_ARE_OPEN_STAKES
from verification.invariants.rounds import (
    ONE_TERMINAL,
    ROUNDS_ARE_COMPLETE,
    WALLET_BETS_ARE_RESOLVED,
    WALLETS_ARE_SQUARE,
)
from wallet.steps import WalletPending, WalletReleasing

REASON: Final = "the wallet's ticket 4711 says so"
VOIDED: Final = "voided-by-operator"
STAKE: Final = 100
WIN: Final = 250
MONEY: Final = (
    BALANCES_ARE_POSTINGS,
    HOLDS_ARE_OPEN_STAKES,
    ONE_TERMINAL,
    WALLETS_ARE_SQUARE,
    WALLET_BETS_ARE_RESOLVED,
    ROUNDS_ARE_COMPLETE,
    ONE_EVENT,
    EVENTS_AGREE,
    SEQUENCES_GAPLESS,
)


@pytest.fixture(scope="module")
async def database(services: Services) -> AsyncIterator[Database]:
    """One of its own: the invariants are asked of all of it after each test."""
    async with own_database(services, connections=20) as opened:
        yield opened


@pytest.fixture
async def seat(database: Database) -> AsyncIterator[WalletSeat]:
    """A player of an operator with a wallet of its own; whatever the test did, the books are square after."""
    yield WalletSeat(await take_seat(database))
    async with database.pool.acquire() as connection:
        for invariant in MONEY:
            found = await violations(connection, invariant, overdue_after_s=3600)
            assert found.count == 0, f"{invariant.name}: {found.examples}"


@pytest.fixture
async def table(seat: WalletSeat) -> Table:
    """The same with a wallet that answers what the test lays out."""
    return Table(seat.seat)


async def decide(
    seat: Seat, bet: Bet, action: Action, *, intervention_id: str | None = None, pool: Any = None
) -> InterventionResult:
    decision = Intervention(
        intervention_id=intervention_id or str(uuid4()), action=action, reason=REASON, actor="key:tests"
    )
    return await interventions.intervene(
        pool or seat.database.pool, InterveneRequest(bet=bet, intervention=decision)
    )


async def accepted(seat: Seat, bet: Bet, action: Action) -> InterventionResult:
    intervened = await decide(seat, bet, action)
    assert intervened.verdict is InterventionVerdict.ACCEPTED
    return intervened


async def is_refused(seat: Seat, bet: Bet, action: Action) -> None:
    before = await round_of(seat, bet)
    intervened = await decide(seat, bet, action)
    assert intervened.verdict is InterventionVerdict.REFUSED
    assert await round_of(seat, bet) == before


async def round_of(seat: Seat, bet: Bet) -> RoundView | None:
    return await rounds.find(seat.database.pool, bet.key)


async def stands(seat: Seat, bet: Bet) -> RoundView:
    view = await round_of(seat, bet)
    assert view is not None
    return view


async def on_record(seat: Seat, bet: Bet) -> list[tuple[str, str | None, str]]:
    rows = await seat.database.pool.fetch(
        "SELECT * FROM interventions WHERE player_key = $1 AND round_id = $2 ORDER BY created_at",
        bet.key.player_key,
        bet.key.round_id,
    )
    assert all((row["reason"], row["actor"]) == (REASON, "key:tests") for row in rows)
    return [(row["action"], row["state_before"], row["verdict"]) for row in rows]


async def settling(seat: WalletSeat, bet: Bet) -> RoundView:
    """A round whose win the wallet has not taken."""
    await seat.pending(bet)
    return (await seat.record(bet, WIN)).view


class TestRoundsOfOurOwnLedger:
    @pytest.fixture
    async def own(self, seat: WalletSeat) -> Seat:
        await seat.seat.deposit(10_000)
        return seat.seat

    async def test_a_pending_round_is_void_at_once(self, own: Seat) -> None:
        bet = own.bet()
        await own.reserve(bet)
        intervened = await accepted(own, bet, Action.VOID)
        assert (intervened.state, intervened.releasing) == (RoundState.VOID, False)
        void = await stands(own, bet)
        assert (void.failure_code, void.failure_detail, void.win) == (VOIDED, REASON, 0)
        assert await own.money() == (10_000, 0)
        assert [event["type"] for event in await own.events()][-1] == "round.void"
        assert await own.settle(bet, WIN) == void
        assert await on_record(own, bet) == [("void", "pending", "accepted")]

    async def test_only_what_a_wallet_was_asked_for_is_paid_or_refunded_outside(self, own: Seat) -> None:
        bet = own.bet()
        await own.reserve(bet)
        await is_refused(own, bet, Action.PAID_OUTSIDE)
        await is_refused(own, bet, Action.REFUNDED_OUTSIDE)
        await accepted(own, bet, Action.RETRY_NOW)
        assert (await stands(own, bet)).state is RoundState.PENDING
        await own.settle(bet, WIN)

    async def test_a_void_and_a_settle_at_once_end_the_round_once(self, own: Seat) -> None:
        """The interleaving: the game has answered while a person gives the stake back."""
        ends: Counter[RoundState] = Counter()
        for _ in range(20):
            bet = own.bet()
            await own.reserve(bet)
            settled, intervened = await asyncio.gather(own.settle(bet, 0), decide(own, bet, Action.VOID))
            view = await stands(own, bet)
            assert settled == view
            void = intervened.verdict is InterventionVerdict.ACCEPTED
            assert view.state is (RoundState.VOID if void else RoundState.SETTLED)
            ends[view.state] += 1
        assert await own.money() == (10_000 - STAKE * ends[RoundState.SETTLED], 0)

    async def test_nothing_is_decided_about_a_round_that_is_not_there(self, own: Seat) -> None:
        bet = own.bet()
        for action in Action:
            await is_refused(own, bet, action)
        assert await own.events() == []


class TestRoundsAtAWallet:
    async def test_the_operator_has_paid_the_win(self, seat: WalletSeat) -> None:
        bet = seat.bet()
        await settling(seat, bet)
        intervened = await accepted(seat.seat, bet, Action.PAID_OUTSIDE)
        assert intervened.state is RoundState.SETTLED
        settled = await stands(seat.seat, bet)
        assert (settled.win, settled.outcome, settled.balance) == (WIN, OUTCOME, AFTER_BET + WIN)
        assert settled.failure_code is None
        assert await seat.kinds() == [("collected", 100), ("stake", 100), ("win", WIN), ("paid", WIN)]
        assert len(await seat.seat.events()) == 1

    async def test_a_win_in_flight_finds_what_was_paid_outside(self, seat: WalletSeat) -> None:
        """The interleaving: the wallet takes the win that a person has just said was paid."""
        bet = seat.bet()
        await settling(seat, bet)
        await accepted(seat.seat, bet, Action.PAID_OUTSIDE)
        settled = await stands(seat.seat, bet)
        assert (await seat.close(bet)).view == settled
        assert (await seat.begin_release(bet)).view == settled
        assert len(await seat.seat.events()) == 1

    async def test_a_void_keeps_the_result_and_waits_for_the_wallet(self, seat: WalletSeat) -> None:
        bet = seat.bet()
        await settling(seat, bet)
        intervened = await accepted(seat.seat, bet, Action.VOID)
        assert (intervened.state, intervened.releasing) == (RoundState.SETTLING, True)
        assert (await seat.begin_release(bet)).verdict is Verdict.ROLLBACK
        void = await seat.release(bet)
        assert (void.state, void.win, void.outcome) == (RoundState.VOID, 0, OUTCOME)
        assert (void.failure_code, void.failure_detail) == (VOIDED, REASON)
        assert await seat.kinds() == [("collected", 100), ("returned", 100)]

    async def test_a_win_in_flight_that_the_wallet_takes_settles_a_round_being_voided(
        self, seat: WalletSeat
    ) -> None:
        """The interleaving: a person voids the round while the wallet takes its win, which is the truth."""
        bet = seat.bet()
        await settling(seat, bet)
        await accepted(seat.seat, bet, Action.VOID)
        settled = (await seat.close(bet)).view
        assert (settled.state, settled.win) == (RoundState.SETTLED, WIN)
        assert (await seat.begin_release(bet)).view == settled
        assert await seat.release(bet) == settled

    async def test_a_pending_round_is_on_its_way_to_void_and_records_no_result(
        self, seat: WalletSeat
    ) -> None:
        bet = seat.bet()
        await seat.pending(bet)
        intervened = await accepted(seat.seat, bet, Action.VOID)
        assert (intervened.state, intervened.releasing) == (RoundState.PENDING, True)
        assert (await seat.record(bet)).view.state is RoundState.PENDING
        assert (await seat.begin_release(bet)).verdict is Verdict.ROLLBACK
        void = await seat.release(bet)
        assert (void.state, void.outcome, void.failure_code) == (RoundState.VOID, None, VOIDED)

    async def test_the_first_reason_to_release_is_the_rounds(self, seat: WalletSeat) -> None:
        bet = seat.bet()
        await seat.pending(bet)
        await seat.begin_release(bet)
        await accepted(seat.seat, bet, Action.VOID)
        void = await seat.release(bet, "reserve-uncertain")
        assert (void.failure_code, void.failure_detail) == ("resolve-failed", "for a test")

    async def test_a_stake_that_the_wallet_never_answered_for_makes_no_round(self, seat: WalletSeat) -> None:
        """The interleaving: the wallet takes the stake while a person gives it back."""
        bet = seat.bet()
        await seat.begin(bet)
        intervened = await accepted(seat.seat, bet, Action.VOID)
        assert (intervened.state, intervened.releasing) == (None, True)
        assert (await seat.accept(bet)).verdict is Verdict.RELEASING
        void = await seat.release(bet)
        assert (void.state, void.failure_code) == (RoundState.VOID, VOIDED)
        assert await on_record(seat.seat, bet) == [("void", None, "accepted")]

    @pytest.mark.parametrize("answered", [False, True], ids=["no-answer", "stake-taken"])
    async def test_the_operator_has_refunded_a_stake_that_is_being_released(
        self, seat: WalletSeat, answered: bool
    ) -> None:
        bet = seat.bet()
        await (seat.pending(bet) if answered else seat.begin(bet))
        await is_refused(seat.seat, bet, Action.REFUNDED_OUTSIDE)
        await seat.begin_release(bet)
        intervened = await accepted(seat.seat, bet, Action.REFUNDED_OUTSIDE)
        assert (intervened.state, intervened.releasing) == (RoundState.VOID, False)
        assert await seat.kinds() == ([("collected", 100), ("returned", 100)] if answered else [])
        # A rollback that was under way finds the round closed.
        assert await seat.release(bet) == await stands(seat.seat, bet)

    async def test_the_operator_has_refunded_a_stake_whose_win_it_did_not_take(
        self, seat: WalletSeat
    ) -> None:
        bet = seat.bet()
        await settling(seat, bet)
        await accepted(seat.seat, bet, Action.REFUNDED_OUTSIDE)
        void = await stands(seat.seat, bet)
        assert (void.state, void.win, void.failure_code) == (RoundState.VOID, 0, VOIDED)
        assert (await seat.close(bet)).view == void

    async def test_a_win_is_not_paid_outside_before_it_is_on_record_or_while_it_is_given_back(
        self, seat: WalletSeat
    ) -> None:
        bet = seat.bet()
        await seat.pending(bet)
        await is_refused(seat.seat, bet, Action.PAID_OUTSIDE)
        await seat.record(bet)
        await accepted(seat.seat, bet, Action.VOID)
        await is_refused(seat.seat, bet, Action.PAID_OUTSIDE)
        await seat.release(bet)

    @pytest.mark.parametrize("end", ["settled", "void", "declined"])
    async def test_nothing_is_decided_about_a_round_that_has_ended(self, seat: WalletSeat, end: str) -> None:
        bet = seat.bet()
        if end == "declined":
            await seat.begin(bet)
            await seat.decline(bet)
        elif end == "settled":
            await settling(seat, bet)
            await seat.close(bet)
        else:
            await seat.pending(bet)
            await seat.begin_release(bet)
            await seat.release(bet)
        for action in Action:
            await is_refused(seat.seat, bet, action)
        assert await on_record(seat.seat, bet) == [(action.value, end, "refused") for action in Action]

    async def test_two_people_at_once_end_a_round_once(self, seat: WalletSeat) -> None:
        """The interleaving: one says that the win was paid, the other that the stake was given back."""
        accepted_: Counter[Action] = Counter()
        for n in range(12):
            own = WalletSeat(await take_seat(seat.seat.database, game_id=f"g{n}"))
            bet = own.bet()
            await settling(own, bet)
            both = (Action.PAID_OUTSIDE, Action.REFUNDED_OUTSIDE)
            ordered = both if n % 2 else both[::-1]
            decided = await asyncio.gather(*(decide(own.seat, bet, action) for action in ordered))
            verdicts = [intervened.verdict for intervened in decided]
            assert sorted(verdicts) == [InterventionVerdict.ACCEPTED, InterventionVerdict.REFUSED]
            first = ordered[verdicts.index(InterventionVerdict.ACCEPTED)]
            accepted_[first] += 1
            expected = RoundState.SETTLED if first is Action.PAID_OUTSIDE else RoundState.VOID
            assert (await stands(own.seat, bet)).state is expected
            assert len(await own.seat.events()) == 1
        assert sum(accepted_.values()) == 12

    async def test_every_decision_at_once_with_the_calls_of_two_workers_ends_a_round_once(
        self, seat: WalletSeat
    ) -> None:
        for n in range(8):
            own = WalletSeat(await take_seat(seat.seat.database, game_id=f"g{n}"))
            bet = own.bet()
            await settling(own, bet)
            await asyncio.gather(
                *(decide(own.seat, bet, action) for action in Action), own.close(bet), own.close(bet)
            )
            view = await stands(own.seat, bet)
            assert view.state.final
            assert len(await own.seat.events()) == 1
            assert await own.seat.money() == (0, 0)


class TestWhatIsOnRecord:
    async def test_the_same_intervention_answers_what_the_first_one_did(self, seat: WalletSeat) -> None:
        """The interleaving: the step has committed, and its answer is lost; the round moves on meanwhile."""
        bet = seat.bet()
        await settling(seat, bet)
        same = str(uuid4())
        first = await decide(seat.seat, bet, Action.PAID_OUTSIDE, intervention_id=same)
        repeats = [await decide(seat.seat, bet, Action.PAID_OUTSIDE, intervention_id=same) for _ in range(2)]
        assert repeats == [first, first]
        assert await on_record(seat.seat, bet) == [("paid-outside", "settling", "accepted")]

    async def test_twenty_repeats_at_once_decide_once(self, seat: WalletSeat) -> None:
        bet = seat.bet()
        await settling(seat, bet)
        same = str(uuid4())
        decided = await asyncio.gather(
            *(decide(seat.seat, bet, Action.REFUNDED_OUTSIDE, intervention_id=same) for _ in range(20))
        )
        assert len(set(map(repr, decided))) == 1
        assert len(await on_record(seat.seat, bet)) == 1
        assert len(await seat.seat.events()) == 1

    async def test_an_id_of_another_decision_decides_nothing(self, seat: WalletSeat) -> None:
        bet = seat.bet()
        await settling(seat, bet)
        same = str(uuid4())
        await decide(seat.seat, bet, Action.RETRY_NOW, intervention_id=same)
        with pytest.raises(asyncpg.UniqueViolationError):
            await decide(seat.seat, bet, Action.PAID_OUTSIDE, intervention_id=same)
        assert (await stands(seat.seat, bet)).state is RoundState.SETTLING
        await seat.close(bet)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE interventions SET reason = 'another'",
            "DELETE FROM interventions",
            "TRUNCATE interventions",
        ],
    )
    async def test_what_was_decided_stays_written(self, seat: WalletSeat, statement: str) -> None:
        bet = seat.bet()
        await settling(seat, bet)
        await accepted(seat.seat, bet, Action.PAID_OUTSIDE)
        with pytest.raises(asyncpg.RestrictViolationError):
            await seat.pool.execute(statement)

    @pytest.mark.parametrize(
        "change", ["bet = NULL", "release_code = 'another'", "release_detail = NULL", "releasing = false"]
    )
    async def test_a_wallet_bet_keeps_its_bet_and_its_first_reason(
        self, seat: WalletSeat, change: str
    ) -> None:
        bet = seat.bet()
        await seat.pending(bet)
        await accepted(seat.seat, bet, Action.VOID)
        with pytest.raises(asyncpg.RestrictViolationError):
            await seat.pool.execute(
                f"UPDATE wallet_bets SET {change} WHERE player_key = $1",  # noqa: S608
                bet.key.player_key,
            )
        await seat.release(bet)

    async def test_the_programs_role_decides_and_writes_nothing_past_it(
        self, seat: WalletSeat, services: Services
    ) -> None:
        url = await owner_url(services, seat.seat.database)
        application = await open_database(as_application(services, url), connections=1)
        try:
            bet = seat.bet()
            await settling(seat, bet)
            intervened = await decide(seat.seat, bet, Action.PAID_OUTSIDE, pool=application.pool)
            assert intervened.state is RoundState.SETTLED
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.pool.execute("INSERT INTO interventions SELECT * FROM interventions")
        finally:
            await application.close()

    async def test_a_round_is_found_with_its_bet_whether_it_has_a_row_or_not(self, seat: WalletSeat) -> None:
        asked, taken = seat.bet(choice={"direction": "over"}), seat.bet(game_id="dice2")
        operator_id = asked.key.operator_id
        pool = seat.pool

        async def found(bet: Bet) -> list[tuple[Bet, RoundState | None]]:
            subjects = await interventions.find(
                pool, bet.key.round_id, operator_id=operator_id, player_id=None, limit=2
            )
            return [(s.bet, None if s.view is None else s.view.state) for s in subjects]

        await seat.begin(asked)
        assert await found(asked) == [(asked, None)]
        await seat.accept(asked)
        assert await found(asked) == [(asked, RoundState.PENDING)]
        await seat.begin_release(asked)
        await seat.release(asked)
        assert await found(asked) == [(asked, RoundState.VOID)]
        assert await found(taken) == []

    async def test_a_rounds_record_tells_calls_and_decisions(self, table: Table) -> None:
        bet = table.seat.bet()
        await table.reserve(bet, ACCEPTED)
        with pytest.raises(WalletPending):
            await table.settle(bet, TIMEOUT)
        await accepted(table.seat, bet, Action.PAID_OUTSIDE)
        record = await timeline.record(table.seat.database.pool, bet.key)
        assert [(a.call, a.verdict, a.amount, a.code) for a in record.attempts] == [
            (WalletCall.BET, WalletVerdict.ACCEPTED, STAKE, None),
            (WalletCall.WIN, WalletVerdict.UNKNOWN, WIN, "timeout"),
        ]
        assert [(i.action, i.verdict, i.reason) for i in record.interventions] == [
            (Action.PAID_OUTSIDE, InterventionVerdict.ACCEPTED, REASON)
        ]


class TestWithTheWalletAsked:
    async def test_a_round_being_voided_tells_the_wallet_no_win(self, table: Table) -> None:
        bet = table.seat.bet()
        await table.reserve(bet, ACCEPTED)
        with pytest.raises(WalletPending):
            await table.settle(bet, TIMEOUT)
        await accepted(table.seat, bet, Action.VOID)
        with pytest.raises(WalletReleasing):
            await table.settle(bet)
        void = await table.release(bet, ACCEPTED)
        assert (void.state, void.failure_code) == (RoundState.VOID, VOIDED)
        assert table.calls == [WalletCall.BET, WalletCall.WIN, WalletCall.ROLLBACK]

    async def test_a_rollback_that_comes_after_the_win_settles_the_round(self, table: Table) -> None:
        """The first terminal stands: the win that timed out had been taken."""
        bet = table.seat.bet()
        await table.reserve(bet, ACCEPTED)
        with pytest.raises(WalletPending):
            await table.settle(bet, TIMEOUT)
        await accepted(table.seat, bet, Action.VOID)
        settled = await table.release(bet, refused(WalletRefusal.ALREADY_WON, 1_150))
        assert (settled.state, settled.win, settled.balance) == (RoundState.SETTLED, WIN, 1_150)
        assert await table.release(bet) == settled

    async def test_a_win_that_the_wallet_takes_while_it_is_voided_settles_the_round(
        self, table: Table
    ) -> None:
        """The interleaving: the win has left us when the person decides, and is accepted."""
        bet = table.seat.bet()
        await table.reserve(bet, ACCEPTED)
        table.before = lambda: accepted(table.seat, bet, Action.VOID)
        settled = await table.settle(bet, ACCEPTED)
        assert settled.state is RoundState.SETTLED
        assert await on_record(table.seat, bet) == [("void", "settling", "accepted")]
        assert await table.release(bet) == settled

    async def test_a_win_that_loses_against_the_persons_rollback_is_no_incident(
        self, table: Table, caplog: pytest.LogCaptureFixture
    ) -> None:
        bet = table.seat.bet()
        await table.reserve(bet, ACCEPTED)
        table.before = lambda: accepted(table.seat, bet, Action.VOID)
        with caplog.at_level(logging.ERROR):
            void = await table.settle(bet, refused(WalletRefusal.ROLLED_BACK, 1_000))
        assert (void.state, void.failure_code) == (RoundState.VOID, VOIDED)
        assert caplog.records == []

    async def test_a_win_in_flight_is_taken_after_it_was_paid_outside(self, table: Table) -> None:
        bet = table.seat.bet()
        await table.reserve(bet, ACCEPTED)
        table.before = lambda: accepted(table.seat, bet, Action.PAID_OUTSIDE)
        settled = await table.settle(bet, WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=7))
        assert settled == await stands(table.seat, bet)
        assert settled.balance == AFTER_BET + WIN  # as the ledger knew it when the person decided

    async def test_a_lost_round_that_is_being_released_is_never_settled(self, table: Table) -> None:
        """Begun anew, its reserve finds it pending: a settle that waited for it would wait for ever."""
        bet = table.seat.bet()
        await table.reserve(bet, ACCEPTED)
        await accepted(table.seat, bet, Action.VOID)
        assert (await table.reserve(bet)).state is RoundState.PENDING
        with pytest.raises(WalletReleasing):
            await table.money.settle(SettleRequest(bet=bet, resolution=WON))
        assert (await table.release(bet, ACCEPTED)).state is RoundState.VOID
