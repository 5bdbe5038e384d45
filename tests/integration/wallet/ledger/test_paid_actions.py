"""Actions that cost something at an operator's wallet, in the ledger: the interleavings of an action's bet
with its own answers, with other actions, and with the end of its round."""

import asyncio
from collections import Counter
from typing import Final

import asyncpg
import pytest

from contracts.actions import ACTION_BY_TIMER, ActionVerdict, PlayerAction
from contracts.choices import Choice, Chosen, Offer
from contracts.interventions import Action
from contracts.rounds import Bet, Resolution, RoundState
from contracts.views import RoundView
from storage import operator_wallets, rounds
from storage.operator_wallets import ActionDecision, Verdict
from tests.integration.interventions.decisions import decide
from tests.integration.wallet.seats import AFTER_BET, WalletSeat
from tests.support.ledger import OUTCOME, record_rollbacks

COLLECT: Final = Chosen(action="collect")
RAISE: Final = Chosen(action="raise")
COST: Final = 60
OFFER: Final = Offer(
    choices=[Choice(action="collect"), Choice(action="raise", debit=COST)],
    default=COLLECT,
    decide_within_s=60,
)
AFTER_RAISE: Final = AFTER_BET - COST
FUNDS: Final = ActionVerdict.INSUFFICIENT_FUNDS


class Raises:
    """A round that waits, and what may happen to an action that costs something there."""

    def __init__(self, seat: WalletSeat) -> None:
        self.seat, self.bet = seat, seat.bet()

    async def opened(self) -> "Raises":
        await self.seat.pending(self.bet)
        await self.open(0)
        return self

    async def open(self, actions: int) -> RoundView:
        offer = Resolution(outcome=OUTCOME, win=250, offer=OFFER, actions=actions)
        return await rounds.open_round(self.seat.pool, self.bet.key, offer)

    async def begin(self, action: PlayerAction, *, several_bets: bool = True) -> ActionDecision:
        bet_id = f"bet-{action.action_id}"
        return await operator_wallets.begin_action(
            self.seat.pool, self.bet.key, action, bet_id, several_bets=several_bets
        )

    async def accept(self, action: PlayerAction) -> ActionDecision:
        return await operator_wallets.accept_action(self.seat.pool, self.bet.key, action, balance=AFTER_RAISE)

    async def refuse(self, action: PlayerAction, why: ActionVerdict | None = FUNDS) -> ActionDecision:
        return await operator_wallets.refuse_action(self.seat.pool, self.bet.key, action, why)

    async def end(self, action: PlayerAction) -> ActionDecision:
        return await operator_wallets.end_action(self.seat.pool, self.bet.key, action)

    async def view(self) -> RoundView:
        found = await rounds.find(self.seat.pool, self.bet.key)
        assert found is not None
        return found

    async def settled(self, actions: int, win: int = 250) -> RoundView:
        resolution = Resolution(outcome=OUTCOME, win=win, actions=actions)
        await operator_wallets.record_result(self.seat.pool, self.bet.key, resolution)
        return (await self.seat.close(self.bet, balance=None)).view

    async def void(self) -> RoundView:
        assert (await self.seat.begin_release(self.bet)).verdict is Verdict.ROLLBACK
        return await self.released()

    async def released(self) -> RoundView:
        """After the wallet has taken the rollback of each bet."""
        await record_rollbacks(self.seat.pool, self.bet)
        return await self.seat.release(self.bet)


@pytest.fixture
async def round_(seat: WalletSeat) -> Raises:
    return await Raises(seat).opened()


def raised(action_id: str = "a1", request_id: str = "r1", chosen: Chosen = RAISE) -> PlayerAction:
    return PlayerAction(action_id=action_id, chosen=chosen, request_id=request_id)


def collected(action_id: str = "c1") -> PlayerAction:
    return raised(action_id, chosen=COLLECT)


def by_timer(after: int) -> PlayerAction:
    name = f"timer-{after + 1}"
    return PlayerAction(action_id=name, chosen=COLLECT, request_id=name, by=ACTION_BY_TIMER, after=after)


async def test_an_action_that_the_wallet_takes_is_collected_and_held_beside_the_stake(round_: Raises) -> None:
    asked = await round_.begin(raised())
    assert (asked.step, asked.amount) == (Verdict.ASK, COST)
    waits = await round_.view()
    assert (waits.state, waits.offer, waits.extra) == (RoundState.AWAITING_CHOICE, OFFER, 0)
    taken = await round_.accept(raised())
    assert taken.view is not None
    assert (taken.verdict, taken.view.state, taken.view.staked) == ("taken", RoundState.PENDING, 160)
    assert await round_.seat.seat.money() == (160, 160)
    settled = await round_.settled(1)
    assert settled.balance == AFTER_RAISE + 250
    assert await round_.seat.kinds() == [
        *(("collected", 100), ("collected", COST)),
        *(("stake", 160), ("win", 250), ("paid", 250)),
    ]


async def test_an_action_that_the_wallet_refuses_leaves_the_round_waiting_with_the_same_choices(
    round_: Raises,
) -> None:
    before = await round_.view()
    await round_.begin(raised())
    declined = await round_.refuse(raised())
    assert declined.verdict is ActionVerdict.INSUFFICIENT_FUNDS
    after = await round_.view()
    assert (after.state, after.offer, after.decide_by) == (before.state, OFFER, before.decide_by)
    assert (await round_.begin(raised(request_id="r2"))).verdict is FUNDS, "the id is spent"
    assert (await round_.begin(raised("a2"))).step is Verdict.ASK, "a new one may be tried"
    assert (await round_.accept(raised("a2"))).verdict is ActionVerdict.TAKEN


async def test_an_action_whose_bet_was_lost_is_asked_for_once_more_and_taken(round_: Raises) -> None:
    await round_.begin(raised())
    assert (await round_.refuse(raised(), None)).step is Verdict.ASK
    assert (await round_.begin(raised())).step is Verdict.ASK
    assert (await round_.accept(raised())).verdict is ActionVerdict.TAKEN


@pytest.mark.parametrize("second", [None, FUNDS, ActionVerdict.WALLET_FAILED])
async def test_after_a_second_asking_only_a_rollback_is_certain(
    round_: Raises, second: ActionVerdict | None
) -> None:
    """The interleaving: the first asking is on its way yet, whatever the second one is told."""
    await round_.begin(raised())
    await round_.refuse(raised(), None)
    await round_.begin(raised())
    assert (await round_.refuse(raised(), second)).step is Verdict.ROLLBACK
    assert (await round_.begin(raised())).step is Verdict.ROLLBACK, "it is never asked for again"
    assert (await round_.accept(raised())).step is Verdict.ROLLBACK, "the late yes takes nothing"
    ended = await round_.end(raised())
    assert ended.verdict is ActionVerdict.WALLET_FAILED
    assert (await round_.end(raised())).verdict is ended.verdict
    waits = await round_.view()
    assert (waits.state, waits.offer, waits.extra) == (RoundState.AWAITING_CHOICE, OFFER, 0)
    assert (await round_.begin(raised(request_id="r2"))).verdict is ActionVerdict.WALLET_FAILED
    assert (await round_.begin(raised("a2"))).step is Verdict.ASK


async def test_a_repeat_while_the_outcome_is_unknown_is_the_same_bet(round_: Raises) -> None:
    """The interleaving: the client repeats the action, and the ingress gives it another request."""
    await round_.begin(raised())
    await round_.refuse(raised(), None)
    again = raised(request_id="r2")
    assert (await round_.begin(again)).step is Verdict.ASK
    assert (await round_.accept(again)).verdict is ActionVerdict.REPLAYED
    assert (await round_.begin(raised())).verdict is ActionVerdict.TAKEN
    other = raised(chosen=COLLECT)
    assert (await round_.begin(other)).verdict is ActionVerdict.ID_REUSED


async def test_an_open_bet_keeps_every_other_action_out(round_: Raises) -> None:
    """The interleaving: the timer collects, or the player decides otherwise, while the wallet is asked."""
    await round_.begin(raised())
    for other in (by_timer(0), collected(), raised("a2")):
        assert (await round_.begin(other)).verdict is ActionVerdict.WRONG_STATE
    ledgers_own = await rounds.take_action(round_.seat.pool, round_.bet.key, collected())
    assert ledgers_own[0] is ActionVerdict.WRONG_STATE
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await round_.settled(0)
    await round_.accept(raised())
    assert (await round_.begin(by_timer(0))).verdict is ActionVerdict.WRONG_STATE
    await round_.open(1)
    assert (await round_.begin(by_timer(0))).verdict is ActionVerdict.STALE


async def test_the_view_shows_the_action_that_the_wallet_is_asked_for(round_: Raises) -> None:
    """So that a workflow that was lost goes on with it."""
    await round_.begin(raised())
    asked = (await round_.view()).asked
    assert asked is not None
    assert (asked.action_id, asked.chosen, asked.request_id, asked.by) == ("a1", RAISE, "r1", "player")
    await round_.refuse(raised())
    assert (await round_.view()).asked is None


async def test_a_release_ends_an_action_that_the_wallet_is_asked_for(round_: Raises) -> None:
    """The interleaving: the round is voided while the action's bet is on its way."""
    bet, pool = round_.bet, round_.seat.pool
    await round_.begin(raised())
    assert (await round_.seat.begin_release(bet)).verdict is Verdict.ROLLBACK
    assert await operator_wallets.action_bets(pool, bet.key) == ["a1"]
    for step in (round_.begin, round_.accept, round_.refuse):
        assert (await step(raised())).verdict is ActionVerdict.WRONG_STATE
    void = await round_.released()
    assert (void.state, void.extra) == (RoundState.VOID, 0)
    for step in (round_.begin, round_.accept, round_.refuse, round_.end):
        assert (await step(raised())).verdict is ActionVerdict.ROUND_CLOSED
    assert await round_.seat.kinds() == [("collected", 100), ("returned", 100)]


async def test_a_void_round_returns_what_its_actions_cost(round_: Raises) -> None:
    await round_.begin(raised())
    await round_.accept(raised())
    await round_.open(1)
    await round_.begin(raised("a2"))
    await round_.refuse(raised("a2"))
    assert await operator_wallets.action_bets(round_.seat.pool, round_.bet.key) == ["a1"]
    assert (await round_.void()).state is RoundState.VOID
    assert await round_.seat.kinds() == [("collected", 100), ("collected", COST), ("returned", 160)]
    assert await round_.seat.seat.money() == (0, 0)


@pytest.mark.parametrize("unanswered", [True, False])
async def test_a_manual_intervention_during_an_action_ends_both(round_: Raises, unanswered: bool) -> None:
    """The interleaving: `void`, and then `refunded-outside`, while the action's bet is at the wallet."""
    await round_.begin(raised())
    if not unanswered:
        await round_.refuse(raised(), None)
        await round_.begin(raised())
        await round_.refuse(raised(), None)
    assert (await decide(round_.seat.seat, round_.bet, Action.PAID_OUTSIDE)).verdict == "refused"
    assert (await decide(round_.seat.seat, round_.bet, Action.VOID)).releasing
    assert (await round_.begin(raised())).verdict is ActionVerdict.WRONG_STATE
    refunded = await decide(round_.seat.seat, round_.bet, Action.REFUNDED_OUTSIDE)
    assert refunded.state is RoundState.VOID
    assert (await round_.accept(raised())).verdict is ActionVerdict.ROUND_CLOSED


async def test_a_wallet_that_takes_one_bet_a_round_is_not_asked(round_: Raises) -> None:
    refused = await round_.begin(raised(), several_bets=False)
    assert refused.verdict is ActionVerdict.WRONG_STATE
    await round_.begin(raised("a2"))
    again = await round_.begin(raised("a2"), several_bets=False)
    assert again.step is Verdict.ASK, "what was asked is brought to its end"
    await round_.accept(raised("a2"))


async def test_what_the_ledger_refuses_is_not_asked_of_the_wallet(seat: WalletSeat) -> None:
    round_ = await Raises(seat).opened()
    unknown = raised(chosen=Chosen(action="double"))
    assert (await round_.begin(unknown)).verdict is ActionVerdict.UNKNOWN_CHOICE
    await seat.pool.execute(
        "UPDATE sessions SET ended_at = now() WHERE id = $1", seat.seat.session.session_id
    )
    assert (await round_.begin(raised())).verdict is ActionVerdict.SESSION_EXPIRED
    assert (await round_.begin(collected())).verdict is ActionVerdict.TAKEN
    assert await operator_wallets.action_bets(seat.pool, round_.bet.key) == []


async def test_twenty_raises_at_once_ask_for_one(round_: Raises) -> None:
    begun = await asyncio.gather(*(round_.begin(raised(f"a{n}")) for n in range(20)))
    assert Counter(decided.step or decided.verdict for decided in begun) == {"ask": 1, "wrong-state": 19}


async def test_answers_that_race_decide_once(seat: WalletSeat) -> None:
    """The interleaving: one asking is taken, another refused, and the round is released besides."""
    for _ in range(10):
        round_ = Raises(WalletSeat(seat.seat))
        await round_.opened()
        await round_.begin(raised())
        await asyncio.gather(
            *(round_.accept(raised()), round_.refuse(raised()), round_.begin(raised(request_id="r2"))),
            seat.begin_release(round_.bet),
        )
        assert (await round_.released()).state is RoundState.VOID
        assert await seat.seat.money() == (0, 0)


@pytest.mark.parametrize(
    "change",
    [
        *("amount = amount + 1", "outcome = NULL, resolved_at = NULL", "releasing = true"),
        "transaction_id = 'another'",
    ],
)
async def test_what_an_action_cost_stays_as_it_was_written(round_: Raises, change: str) -> None:
    await round_.begin(raised())
    await round_.accept(raised())
    for statement in (f"UPDATE wallet_action_bets SET {change}", "DELETE FROM wallet_action_bets"):  # noqa: S608
        with pytest.raises(asyncpg.RestrictViolationError):
            await round_.seat.pool.execute(
                f"{statement} WHERE player_key = $1",
                round_.bet.key.player_key,
            )


async def test_a_round_of_our_own_ledger_takes_its_actions_there(seat: WalletSeat) -> None:
    """It began before the operator had a wallet."""
    bet: Bet = seat.bet()
    await seat.seat.deposit(1_000)
    await seat.seat.reserve(bet)
    round_ = Raises(seat)
    round_.bet = bet
    await round_.open(0)
    assert (await round_.begin(raised())).verdict is ActionVerdict.TAKEN
    assert (await seat.seat.release(bet)).state is RoundState.VOID
    assert (await round_.begin(raised("a2"))).verdict is ActionVerdict.ROUND_CLOSED
    unknown = await operator_wallets.begin_action(
        seat.pool, seat.bet().key, raised(), "bet", several_bets=True
    )
    assert (unknown.verdict, unknown.view) == (ActionVerdict.NOT_FOUND, None)
