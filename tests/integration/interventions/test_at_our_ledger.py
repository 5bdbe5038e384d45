"""A person's decisions about rounds of our own ledger, alone and against whatever else happens."""

import asyncio
from collections import Counter

import pytest

from contracts.interventions import Action, InterventionVerdict
from contracts.rounds import RoundState
from tests.integration.interventions.decisions import (
    REASON,
    STAKE,
    VOIDED,
    WIN,
    accepted,
    decide,
    is_refused,
    on_record,
    stands,
)
from tests.integration.wallet.seats import WalletSeat
from tests.support.ledger import Seat


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
