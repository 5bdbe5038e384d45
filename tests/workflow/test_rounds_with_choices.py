"""Rounds that wait for their player: actions by update, the timer of each policy, who decides meanwhile."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from contracts.actions import ActionVerdict, ActRequest, PlayerAction
from contracts.choices import Abandonment, Chosen
from contracts.failures import ABANDONED, ACTION_REFUSED, ROUND_CANCELLED, VOIDED_BY_OPERATOR
from contracts.interventions import Action
from contracts.rounds import RoundState
from tests.workflow.choices import COLLECT, DAY_S, DOUBLE, accepted, act, action, offer, waits
from tests.workflow.faults import DURABLE, FAST, Breaks, Hangs, Refuses
from tests.workflow.stage import STAKE, Ended, Handle, Stage, heard, intervene, within
from tests.workflow.world import OPENING_BALANCE, WIN, LedgerRound
from workflows import policies


async def refused(handle: Handle, taken: PlayerAction) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await act(handle, taken)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == ACTION_REFUSED
    return failed.value.cause.message


def timers(ended: Ended) -> int:
    return sum(event.HasField("timer_started_event_attributes") for event in ended.history.events)


async def test_an_action_ends_the_round(waiting_stage: Stage) -> None:
    waiting_stage.world.offers = [offer()]
    async with waiting_stage.playing() as handle:
        await waits(waiting_stage, handle)
        acted = await act(handle, action(COLLECT))
        ended = await waiting_stage.end(handle)
    assert (acted.verdict, acted.state) == (ActionVerdict.TAKEN, RoundState.SETTLED)
    assert waiting_stage.world.effects == ["reserve", "open", "take collect", "settle", "emit"]
    assert waiting_stage.attempts == ["reserve", "resolve", "open", "act", "resolve", "settle", "emit"]
    assert ended.closed is not None
    assert ended.closed.state is RoundState.SETTLED


async def test_actions_that_cost_are_paid_and_lead_on(waiting_stage: Stage) -> None:
    waiting_stage.world.offers = [offer(), offer()]
    async with waiting_stage.playing() as handle:
        await waits(waiting_stage, handle)
        acted = await act(handle, action(DOUBLE, "a1"))
        assert acted.open is not None
        assert (acted.state, acted.open.actions) == (RoundState.AWAITING_CHOICE, 1)
        assert waiting_stage.world.held == 2 * STAKE
        await act(handle, action(COLLECT, "a2"))
        await waiting_stage.end(handle)
    assert waiting_stage.world.balance == OPENING_BALANCE - 2 * STAKE + WIN


async def test_what_is_not_offered_leaves_no_trace_in_the_history(waiting_stage: Stage) -> None:
    waiting_stage.world.offers = [offer()]
    async with waiting_stage.playing() as handle:
        await waits(waiting_stage, handle)
        # Answered only when the task that led to the offer is on record.
        assert await refused(handle, action(Chosen(action="steal"))) == "unknown-choice"
        before = (await handle.fetch_history()).events
        assert await refused(handle, action(Chosen(action="collect", params={"n": 1}))) == "unknown-choice"
        after = (await handle.fetch_history()).events
        await act(handle, action(COLLECT))
        await waiting_stage.end(handle)
    assert [event.event_type for event in after] == [event.event_type for event in before]


async def test_a_refusal_of_the_ledger_leaves_the_round_waiting(waiting_stage: Stage) -> None:
    waiting_stage.world.offers = [offer()]
    waiting_stage.world.balance = STAKE
    async with waiting_stage.playing() as handle:
        await waits(waiting_stage, handle)
        acted = await act(handle, action(DOUBLE))
        assert (acted.verdict, acted.state) == ("insufficient-funds", RoundState.AWAITING_CHOICE)
        await act(handle, action(COLLECT, "a2"))
        ended = await waiting_stage.end(handle, whole=False)
    assert timers(ended) == 1, "the time to decide is not given anew"


async def test_repeats_at_once_are_one_action(waiting_stage: Stage) -> None:
    waiting_stage.world.offers = [offer(), offer()]
    async with waiting_stage.playing() as handle:
        await waits(waiting_stage, handle)
        repeats = [action(DOUBLE, "same", f"request-{n}") for n in range(8)]
        answers = await asyncio.gather(*(act(handle, repeat) for repeat in repeats))
        assert sorted(acted.verdict for acted in answers) == ["replayed"] * 7 + ["taken"]
        await act(handle, action(COLLECT, "last"))
        await waiting_stage.end(handle)
    assert waiting_stage.world.effects.count("take double") == 1


class TestAbandoned:
    async def test_collects_what_was_won(self, stage: Stage) -> None:
        stage.world.offers = [offer()]
        ended = await stage.play()
        assert ended.closed is not None
        assert ended.closed.state is RoundState.SETTLED
        assert ended.duration >= timedelta(seconds=DAY_S)
        (round_,) = stage.world.rounds.values()
        assert [(taken.action_id, taken.by) for taken in round_.actions] == [("timer-1", "timer")]
        assert stage.world.balance == OPENING_BALANCE - STAKE + WIN

    async def test_collects_step_by_step_to_the_end(self, stage: Stage) -> None:
        stage.world.offers = [offer(), offer(within_s=60), offer()]
        ended = await stage.play()
        assert ended.duration >= timedelta(seconds=2 * DAY_S + 60)
        (round_,) = stage.world.rounds.values()
        assert [taken.action_id for taken in round_.actions] == ["timer-1", "timer-2", "timer-3"]

    async def test_is_decided_again_after_a_pause_where_the_ledger_refuses(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As it does while an action is asked of a wallet that does not answer: without a pause, refusals
        would fill the history."""
        stage.world.offers = [offer()]
        refusals, verdict = iter(range(3)), stage.world._verdict

        def refusing(round_: LedgerRound, action: PlayerAction) -> ActionVerdict:
            return verdict(round_, action) if next(refusals, None) is None else ActionVerdict.WRONG_STATE

        monkeypatch.setattr(stage.world, "_verdict", refusing)
        ended = await stage.play()
        assert ended.closed is not None
        assert ended.closed.state is RoundState.SETTLED
        pauses = ended.duration - timedelta(seconds=DAY_S)
        assert 3 * policies.DECIDE_AGAIN <= pauses < timedelta(seconds=DAY_S), "the time is not given anew"

    async def test_gives_every_stake_back_where_the_rules_say_so(self, waiting_stage: Stage) -> None:
        waiting_stage.world.offers = [offer(), offer(Abandonment.REFUND, within_s=1)]
        async with waiting_stage.playing() as handle:
            await waits(waiting_stage, handle)
            await act(handle, action(DOUBLE))
            ended = await waiting_stage.end(handle)
        assert ended.closed is not None
        assert (ended.closed.state, ended.closed.failure_code) == (RoundState.VOID, ABANDONED)
        assert waiting_stage.world.balance == OPENING_BALANCE

    async def test_is_held_for_the_player_without_end(self, waiting_stage: Stage) -> None:
        waiting_stage.world.offers = [offer(Abandonment.HOLD)]
        async with waiting_stage.playing() as handle:
            await waits(waiting_stage, handle)
            await act(handle, action(COLLECT))
            ended = await waiting_stage.end(handle)
        assert timers(ended) == 0

    async def test_is_not_what_a_player_is_who_came_in_time(self, waiting_stage: Stage) -> None:
        waiting_stage.world.offers = [offer(Abandonment.REFUND), offer(within_s=1)]
        async with waiting_stage.playing() as handle:
            await waits(waiting_stage, handle)
            await act(handle, action(DOUBLE))
            ended = await waiting_stage.end(handle)
        assert ended.closed is not None
        assert ended.closed.state is RoundState.SETTLED, "the refund was the first step's; collected later"


@pytest.mark.parametrize("step", ["act", "resolve", "settle"])
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_an_action_whose_fast_path_fails_is_taken_once(
    waiting_stage: Stage, step: str, late: bool
) -> None:
    waiting_stage.world.offers = [offer()]
    async with waiting_stage.playing() as handle:
        await waits(waiting_stage, handle)
        waiting_stage.set(Breaks(step=step, way=FAST, late=late))
        acted = await act(handle, action(DOUBLE))
        await waiting_stage.end(handle)
    assert (acted.verdict, acted.state) == (ActionVerdict.TAKEN, RoundState.SETTLED)
    assert waiting_stage.world.effects.count("take double") == 1


async def test_an_action_that_nobody_can_play_gives_every_stake_back(waiting_stage: Stage) -> None:
    waiting_stage.world.offers = [offer()]
    async with waiting_stage.playing() as handle:
        await waits(waiting_stage, handle)
        waiting_stage.set(Refuses(step="resolve", times=2))
        with pytest.raises(WorkflowUpdateFailedError):
            await act(handle, action(DOUBLE))
        ended = await waiting_stage.end(handle)
    assert ended.closed is not None
    assert ended.closed.state is RoundState.VOID
    assert waiting_stage.world.balance == OPENING_BALANCE


async def test_an_offer_that_cannot_be_stored_gives_the_stake_back(stage: Stage) -> None:
    stage.world.offers = [offer()]
    stage.set(Breaks(step="open", times=None))
    ended = await stage.play()
    assert ended.closed is not None
    assert ended.closed.state is RoundState.VOID


async def test_an_offer_whose_storing_was_not_heard_of_stands(waiting_stage: Stage) -> None:
    waiting_stage.world.offers = [offer()]
    waiting_stage.set(Breaks(step="open", way=FAST, late=True))
    async with waiting_stage.playing() as handle:
        await waits(waiting_stage, handle)
        await act(handle, action(COLLECT))
        await waiting_stage.end(handle)
    assert waiting_stage.world.effects.count("open") == 1


async def test_a_person_voids_a_round_that_waits(waiting_stage: Stage) -> None:
    waiting_stage.world.offers = [offer()]
    async with waiting_stage.playing() as handle:
        await waits(waiting_stage, handle)
        await intervene(handle, waiting_stage.decision(Action.VOID))
        ended = await waiting_stage.end(handle)
    assert ended.closed is not None
    assert (ended.closed.state, ended.closed.failure_code) == (RoundState.VOID, VOIDED_BY_OPERATOR)


async def test_a_cancelled_round_gives_its_stakes_back(waiting_stage: Stage) -> None:
    waiting_stage.world.offers = [offer(), offer()]
    async with waiting_stage.playing() as handle:
        await waits(waiting_stage, handle)
        await act(handle, action(DOUBLE))
        await handle.cancel()
        ended = await waiting_stage.end(handle)
    assert ended.status is WorkflowExecutionStatus.CANCELED
    (round_,) = waiting_stage.world.rounds.values()
    assert (round_.state, round_.failure_code) == (RoundState.VOID, ROUND_CANCELLED)


async def test_an_action_under_way_when_the_round_is_cancelled_leaves_one_end(waiting_stage: Stage) -> None:
    waiting_stage.world.offers = [offer()]
    async with waiting_stage.playing() as handle:
        await waits(waiting_stage, handle)
        waiting_stage.set(Breaks(step="act", way=FAST))
        hangs = waiting_stage.set(Hangs(step="settle", way=DURABLE))
        acting = asyncio.create_task(_outcome(handle, action(COLLECT)))
        await within(hangs.reached)
        await handle.cancel()
        await heard(handle)
        hangs.go.set()
        await waiting_stage.end(handle)
        await acting
    (round_,) = waiting_stage.world.rounds.values()
    assert round_.state in (RoundState.SETTLED, RoundState.VOID)


async def test_an_action_for_a_round_that_never_waits_is_refused(waiting_stage: Stage) -> None:
    waiting_stage.set(Breaks(step="settle", way=FAST))
    hangs = waiting_stage.set(Hangs(step="settle", way=DURABLE))
    async with waiting_stage.playing() as handle:
        await within(hangs.reached)
        acting = asyncio.create_task(refused(handle, action(COLLECT)))
        await accepted(handle)
        hangs.go.set()
        await waiting_stage.end(handle)
        assert await acting == "round-closed"


async def test_a_round_whose_worker_went_is_taken_up_where_it_waits(waiting_stage: Stage) -> None:
    waiting_stage.world.offers = [offer(), offer()]
    async with waiting_stage.worker(cached_workflows=0):
        handle = await waiting_stage.start()
        await waits(waiting_stage, handle)
        await act(handle, action(DOUBLE))
    async with waiting_stage.worker():
        await act(handle, action(COLLECT, "a2"))
        await waiting_stage.end(handle)
    assert waiting_stage.world.effects.count("take double") == 1


async def test_a_round_whose_workflow_was_lost_ends_the_action_at_the_wallet_first(
    waiting_stage: Stage,
) -> None:
    """The interleaving: the wallet was asked for what an action costs, its workflow is gone, and the player
    decides otherwise meanwhile."""
    waiting_stage.world.offers = [offer(Abandonment.HOLD), offer(Abandonment.HOLD)]
    waiting_stage.world.leave_at_wallet(waiting_stage.bet, action(DOUBLE))
    async with waiting_stage.playing() as handle:
        acted = await act(handle, action(COLLECT, "a2"))
        await waiting_stage.end(handle)
    assert acted.verdict is ActionVerdict.TAKEN
    assert waiting_stage.world.effects == [
        *("reserve", "open", "take double", "open", "take collect", "settle", "emit")
    ]


async def test_an_action_that_the_wallet_declines_after_all_leaves_the_round_waiting(
    waiting_stage: Stage,
) -> None:
    waiting_stage.world.offers = [offer(within_s=1)]
    waiting_stage.world.balance = STAKE
    waiting_stage.world.leave_at_wallet(waiting_stage.bet, action(DOUBLE))
    ended = await waiting_stage.play(whole=False)
    assert ended.closed is not None
    assert ended.closed.state is RoundState.SETTLED
    (round_,) = waiting_stage.world.rounds.values()
    assert [(taken.action_id, taken.by) for taken in round_.actions] == [("timer-1", "timer")]


async def test_a_round_that_is_voided_while_its_action_is_at_the_wallet_ends_void(
    waiting_stage: Stage,
) -> None:
    waiting_stage.world.offers = [offer(Abandonment.HOLD)]
    waiting_stage.set(Breaks(step="act", way=FAST))
    hangs = waiting_stage.set(Hangs(step="act", way=DURABLE))
    waiting_stage.world.leave_at_wallet(waiting_stage.bet, action(DOUBLE))
    async with waiting_stage.playing() as handle:
        await within(hangs.reached)
        await intervene(handle, waiting_stage.decision(Action.VOID))
        hangs.go.set()
        ended = await waiting_stage.end(handle)
    assert ended.closed is not None
    assert (ended.closed.state, ended.closed.failure_code) == (RoundState.VOID, VOIDED_BY_OPERATOR)


def acted_and_lost(stage: Stage) -> None:
    """The player's action is on record, and the round's workflow is gone."""
    stage.world.offers = [offer()]
    stage.world.leave_at_wallet(stage.bet, action(DOUBLE))
    stage.world.act(ActRequest(bet=stage.bet, action=action(DOUBLE)))


async def test_an_action_on_record_is_played_when_its_game_is_back(stage: Stage) -> None:
    """The game is away for longer than a round without actions waits for one."""
    acted_and_lost(stage)
    stage.set(Breaks(step="resolve", times=20))
    ended = await stage.play()
    assert policies.RESOLVE.patience is not None
    assert ended.duration > policies.RESOLVE.patience
    assert ended.closed is not None
    assert ended.closed.state is RoundState.SETTLED
    assert stage.world.effects[-2:] == ["settle", "emit"]


async def test_a_person_voids_a_round_whose_action_waits_for_its_game(waiting_stage: Stage) -> None:
    """The game may never be back."""
    acted_and_lost(waiting_stage)
    waiting_stage.set(Breaks(step="resolve", way=FAST))
    away = waiting_stage.set(Hangs(step="resolve", way=DURABLE, times=None))
    async with waiting_stage.playing() as handle:
        await within(away.reached)
        await intervene(handle, waiting_stage.decision(Action.VOID))
        ended = await waiting_stage.end(handle)
    assert ended.closed is not None
    assert (ended.closed.state, ended.closed.failure_code) == (RoundState.VOID, VOIDED_BY_OPERATOR)
    assert waiting_stage.world.balance == OPENING_BALANCE


async def test_a_round_that_is_cancelled_while_its_action_waits_for_its_game_is_void(
    waiting_stage: Stage,
) -> None:
    acted_and_lost(waiting_stage)
    waiting_stage.set(Breaks(step="resolve", way=FAST))
    away = waiting_stage.set(Hangs(step="resolve", way=DURABLE, times=None))
    async with waiting_stage.playing() as handle:
        await within(away.reached)
        await handle.cancel()
        ended = await waiting_stage.end(handle)
    assert ended.status is WorkflowExecutionStatus.CANCELED
    (round_,) = waiting_stage.world.rounds.values()
    assert (round_.state, round_.failure_code) == (RoundState.VOID, ROUND_CANCELLED)


async def _outcome(handle: Handle, taken: PlayerAction) -> Any:
    try:
        return await act(handle, taken)
    except WorkflowUpdateFailedError as failed:
        return failed
