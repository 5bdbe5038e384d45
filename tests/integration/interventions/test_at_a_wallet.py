"""A person's decisions about rounds at an operator's wallet, on record and with the wallet asked."""

import asyncio
import logging
from collections import Counter

import pytest

from contracts.interventions import Action, InterventionVerdict
from contracts.rounds import RoundState, SettleRequest
from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletVerdict
from storage.operator_wallets import Verdict
from tests.integration.interventions.decisions import (
    REASON,
    VOIDED,
    WIN,
    accepted,
    decide,
    is_refused,
    on_record,
    settling,
    stands,
)
from tests.integration.wallet.seats import AFTER_BET, WalletSeat
from tests.integration.wallet.table import ACCEPTED, TIMEOUT, WON, Table, refused
from tests.support.ledger import OUTCOME, take_seat
from wallet.steps import WalletPending, WalletReleasing


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
        taken = WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=1_150, duplicate=True)
        settled = await table.release(bet, refused(WalletRefusal.ALREADY_WON), taken)
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
            void = await table.settle(bet, refused(WalletRefusal.ROLLED_BACK), ACCEPTED)
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
