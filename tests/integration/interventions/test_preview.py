"""What the console shows before a decision is what the ledger has after it: each posting and its accounts."""

import pytest

from api.console.preview import preview
from contracts.interventions import Action
from contracts.rounds import Bet
from contracts.views import RoundView
from storage import stuck, timeline
from tests.integration.interventions.decisions import WIN, accepted, settling, stands
from tests.integration.wallet.seats import WalletSeat
from tests.support.ledger import Seat

Posted = list[tuple[str, str | None, str | None, int | None]]


async def shown(seat: Seat, view: RoundView, action: Action) -> Posted:
    asked = await stuck.at_wallet(seat.database.pool, [view.key])
    before = preview(view, action, at_wallet=view.key in asked)
    return [(one.kind, one.debit, one.credit, one.amount) for one in before.postings]


async def posted(seat: Seat, bet: Bet) -> Posted:
    record = await timeline.record(seat.database.pool, bet.key, None)
    return [(one.kind, one.debit_kind, one.credit_kind, one.amount) for one in record.transfers]


@pytest.mark.parametrize("action", [Action.PAID_OUTSIDE, Action.REFUNDED_OUTSIDE, Action.VOID])
@pytest.mark.parametrize("win", [0, WIN])
async def test_at_a_wallet(seat: WalletSeat, action: Action, win: int) -> None:
    bet = seat.bet()
    await seat.pending(bet)
    view = (await seat.record(bet, win)).view
    before, foreseen = await posted(seat.seat, bet), await shown(seat.seat, view, action)
    assert foreseen
    await accepted(seat.seat, bet, action)
    if action is Action.VOID:  # the wallet takes the rollback
        await seat.begin_release(bet)
        await seat.release(bet)
    assert (await stands(seat.seat, bet)).state.final
    assert (await posted(seat.seat, bet))[len(before) :] == foreseen


async def test_at_our_own_ledger(seat: WalletSeat) -> None:
    own = seat.seat
    await own.deposit(1_000)
    bet = own.bet()
    view = await own.reserve(bet)
    foreseen = await shown(own, view, Action.VOID)
    await accepted(own, bet, Action.VOID)
    assert await posted(own, bet) == foreseen == []
    assert await own.money() == (1_000, 0)


async def test_asking_again_posts_nothing(seat: WalletSeat) -> None:
    bet = seat.bet()
    view = await settling(seat, bet)
    before = await posted(seat.seat, bet)
    assert await shown(seat.seat, view, Action.RETRY_NOW) == []
    await accepted(seat.seat, bet, Action.RETRY_NOW)
    assert await posted(seat.seat, bet) == before
    await accepted(seat.seat, bet, Action.REFUNDED_OUTSIDE)
