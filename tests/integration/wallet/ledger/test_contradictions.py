"""Rounds at an operator's wallet: the interleavings of two operations that contradict each other."""

import itertools
from dataclasses import replace

import asyncpg
import pytest

from contracts.rounds import RoundState
from storage.operator_wallets import Decision, Verdict
from tests.integration.wallet.ledger.moves import OPERATOR, another, attempt, driven_to_its_end
from tests.integration.wallet.seats import WalletSeat
from tests.support.ledger import OUTCOME, take_seat


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
            await attempt(getattr(own, name), bet)
        view = await driven_to_its_end(own, bet)
        assert view.state.final
        assert len(await own.seat.events()) == (0 if view.state is RoundState.DECLINED else 1)
        assert await own.seat.money() == (0, 0)
