"""RoundWorkflow when a person decides about it: the ledger's verdict is the answer, and a step that waits is
taken again at once.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from temporalio.client import WithStartWorkflowOperation, WorkflowExecutionStatus
from temporalio.client import WorkflowUpdateFailedError as UpdateFailed
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError

from contracts.failures import INVALID_INTERVENTION, RESOLVE_FAILED, VOIDED_BY_OPERATOR
from contracts.interventions import Action, InterventionResult, InterventionVerdict
from contracts.rounds import RoundClosed, RoundState
from contracts.steps import INTERVENE_UPDATE, ROUND_WORKFLOW
from tests.support.conditions import until
from tests.workflow.faults import DURABLE, FAST, Breaks, Hangs, Meddles, Refuses
from tests.workflow.journeys import SETTLED
from tests.workflow.stage import PATIENCE_S, REQUEST_ID, Ended, Handle, Stage, intervene, within
from tests.workflow.world import OPENING_BALANCE, WIN

VOIDED = RoundClosed(state=RoundState.VOID, failure_code=VOIDED_BY_OPERATOR, request_id=REQUEST_ID)


async def stuck_in_settle(stage: Stage) -> Hangs:
    """The result is on record, and the wallet says nothing: only a decision brings the round on."""
    stage.set(Breaks(step="reserve", way=FAST))
    stage.set(Meddles(step="reserve", way=DURABLE, act=lambda: on_record(stage)))
    return stage.set(Hangs(step="settle", way=DURABLE))


def on_record(stage: Stage) -> None:
    stage.world.reserve(stage.bet)
    stage.world.record(stage.bet, WIN)


async def decided_when_stuck(
    stage: Stage, action: Action, *, then: Callable[[Handle], Awaitable[None]] | None = None
) -> tuple[InterventionResult, Ended]:
    hangs = await stuck_in_settle(stage)
    async with stage.playing() as handle:
        await within(hangs.reached)
        intervened = await intervene(handle, stage.decision(action))
        if then is not None:
            await then(handle)
        ended = await stage.end(handle)
        hangs.go.set()
    return intervened, ended


async def test_a_retry_ends_the_wait_for_a_step_that_is_stuck(stage: Stage) -> None:
    intervened, ended = await decided_when_stuck(stage, Action.RETRY_NOW)
    assert intervened.verdict is InterventionVerdict.ACCEPTED
    assert stage.attempts[-4:] == ["durable settle", "durable intervene", "durable settle", "durable emit"]
    assert ended.closed == SETTLED
    assert "activity_task_cancel_requested" in ended.event_types
    assert "workflow_execution_update_accepted" in ended.event_types
    assert "workflow_execution_update_completed" in ended.event_types


async def test_a_win_that_was_paid_outside_settles_without_the_wallet(stage: Stage) -> None:
    intervened, ended = await decided_when_stuck(stage, Action.PAID_OUTSIDE)
    assert intervened.state is RoundState.SETTLED
    assert ended.closed == SETTLED
    assert stage.world.effects == ["reserve", "record", "settle", "emit"]
    assert stage.world.balance == OPENING_BALANCE - stage.bet.stake + WIN


async def test_a_void_turns_a_stuck_settle_into_a_release(stage: Stage) -> None:
    intervened, ended = await decided_when_stuck(stage, Action.VOID)
    assert (intervened.state, intervened.releasing) == (RoundState.SETTLING, True)
    assert stage.attempts[-3:] == ["durable settle", "durable release", "durable emit"]
    assert ended.closed == VOIDED
    assert ended.status is WorkflowExecutionStatus.COMPLETED
    assert stage.world.balance == OPENING_BALANCE


async def test_a_stake_that_was_refunded_outside_is_void_without_the_wallet(stage: Stage) -> None:
    intervened, ended = await decided_when_stuck(stage, Action.REFUNDED_OUTSIDE)
    assert intervened.state is RoundState.VOID
    assert "durable release" not in stage.attempts
    assert ended.closed == VOIDED


async def test_a_release_that_is_stuck_is_taken_again_at_once(stage: Stage) -> None:
    stage.set(Breaks(step="reserve", way=FAST))
    stage.set(Refuses(step="resolve", way=DURABLE))
    hangs = stage.set(Hangs(step="release"))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await intervene(handle, stage.decision(Action.RETRY_NOW))
        ended = await stage.end(handle)
        hangs.go.set()
    assert stage.attempts.count("durable release") == 2
    assert ended.closed is not None
    assert ended.closed.failure_code == RESOLVE_FAILED


async def test_a_step_that_a_person_overtook_may_still_take_effect(stage: Stage) -> None:
    """The interleaving: the first settle goes on, deaf to its cancellation, while the second one settles."""
    stage.set(Breaks(step="reserve", way=FAST))
    stage.set(Meddles(step="reserve", way=DURABLE, act=lambda: on_record(stage)))
    hangs = stage.set(Hangs(step="settle", way=DURABLE, deaf=True))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await intervene(handle, stage.decision(Action.RETRY_NOW))
        ended = await stage.end(handle)
        hangs.go.set()
        await within(hangs.over)
    assert ended.closed == SETTLED
    stage.world.assert_whole()


async def test_a_win_that_the_wallet_took_before_the_rollback_settles_a_round_being_voided(
    stage: Stage,
) -> None:
    stage.set(Meddles(step="release", act=lambda: stage.world.take_win(stage.bet)))
    _, ended = await decided_when_stuck(stage, Action.VOID)
    assert stage.attempts[-3:] == ["durable settle", "durable release", "durable emit"]
    assert ended.closed == SETTLED


async def test_two_people_are_answered_one_after_the_other(stage: Stage) -> None:
    hangs = await stuck_in_settle(stage)
    async with stage.playing() as handle:
        await within(hangs.reached)
        decided = await asyncio.gather(
            *(
                intervene(handle, stage.decision(action))
                for action in (Action.PAID_OUTSIDE, Action.REFUNDED_OUTSIDE)
            )
        )
        ended = await stage.end(handle)
        hangs.go.set()
    assert sorted(intervened.verdict for intervened in decided) == ["accepted", "refused"]
    assert ended.closed is not None
    assert stage.world.effects[2:] in (["settle", "emit"], ["release", "emit"])


async def test_the_same_decision_twice_is_one(stage: Stage) -> None:
    hangs = await stuck_in_settle(stage)
    decision = stage.decision(Action.PAID_OUTSIDE)
    async with stage.playing() as handle:
        await within(hangs.reached)
        first = await intervene(handle, decision)
        assert await intervene(handle, decision) == first
        await stage.end(handle)
        hangs.go.set()
    assert stage.attempts.count("durable intervene") == 1


async def test_a_decision_whose_answer_is_lost_is_put_again_and_decides_once(stage: Stage) -> None:
    stage.set(Breaks(step="intervene", late=True, times=2))
    intervened, ended = await decided_when_stuck(stage, Action.PAID_OUTSIDE)
    assert intervened.verdict is InterventionVerdict.ACCEPTED
    assert stage.attempts.count("durable intervene") == 3
    assert stage.world.effects == ["reserve", "record", "settle", "emit"]
    assert ended.closed == SETTLED


async def test_a_refused_decision_leaves_the_round_as_it_is(stage: Stage) -> None:
    stage.set(Breaks(step="reserve", way=FAST))
    hangs = stage.set(Hangs(step="resolve", way=DURABLE))
    async with stage.playing() as handle:
        await within(hangs.reached)
        intervened = await intervene(handle, stage.decision(Action.PAID_OUTSIDE))
        hangs.go.set()
        ended = await stage.end(handle)
    assert intervened.verdict is InterventionVerdict.REFUSED
    assert ended.closed == SETTLED
    assert "activity_task_cancel_requested" not in ended.event_types


async def test_a_void_while_the_game_computes_is_found_by_settle(stage: Stage) -> None:
    """Our own ledger: the round is void at once, and the first terminal stands."""
    stage.set(Breaks(step="reserve", way=FAST))
    hangs = stage.set(Hangs(step="resolve", way=DURABLE))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await intervene(handle, stage.decision(Action.VOID))
        hangs.go.set()
        ended = await stage.end(handle)
    assert stage.world.effects == ["reserve", "release", "emit"]
    assert ended.closed == VOIDED


@pytest.mark.parametrize(
    "changes",
    [{"reason": ""}, {"reason": "  "}, {"reason": "x" * 301}, {"reason": "a\x1b[2Jb"}, {"actor": ""}],
)
async def test_what_is_no_decision_never_reaches_the_history(stage: Stage, changes: dict[str, str]) -> None:
    hangs = await stuck_in_settle(stage)
    async with stage.playing() as handle:
        await within(hangs.reached)
        with pytest.raises(UpdateFailed) as refused:
            await intervene(handle, stage.decision(Action.VOID, **changes))
        hangs.go.set()
        ended = await stage.end(handle)
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == INVALID_INTERVENTION
    assert "workflow_execution_update_accepted" not in ended.event_types
    assert ended.closed == SETTLED


async def test_an_action_that_nobody_knows_never_reaches_the_history(stage: Stage) -> None:
    hangs = await stuck_in_settle(stage)
    async with stage.playing() as handle:
        await within(hangs.reached)
        with pytest.raises(UpdateFailed):
            async with asyncio.timeout(PATIENCE_S):
                await handle.execute_update(
                    INTERVENE_UPDATE,
                    {"intervention_id": "1", "action": "burn", "reason": "why not", "actor": "me"},
                )
        hangs.go.set()
        ended = await stage.end(handle)
    assert "workflow_execution_update_accepted" not in ended.event_types
    assert ended.closed == SETTLED


async def test_whoever_intervenes_at_the_last_moment_is_answered_before_the_round_ends(stage: Stage) -> None:
    """The interleaving: the round closes while the ledger is asked."""
    hangs = await stuck_in_settle(stage)
    asked = stage.set(Hangs(step="intervene"))
    async with stage.playing() as handle:
        await within(hangs.reached)
        answer = asyncio.create_task(intervene(handle, stage.decision(Action.VOID)))
        await within(asked.reached)
        hangs.go.set()
        await _until_emitted(stage)
        asked.go.set()
        intervened = await answer
        ended = await stage.end(handle)
    assert intervened.verdict is InterventionVerdict.REFUSED
    assert intervened.state is RoundState.SETTLED
    assert ended.closed == SETTLED


async def test_a_decision_also_drives_on_a_round_that_temporal_has_lost(stage: Stage) -> None:
    """Its result is on record: the decision begins it anew, and comes before anything that the round does."""
    on_record(stage)
    intervened, ended = await begun_by(stage, Action.VOID)
    assert intervened.verdict is InterventionVerdict.ACCEPTED
    assert stage.attempts[0] == "durable intervene"
    assert stage.world.effects == ["reserve", "record", "release", "emit"]
    assert ended.closed == VOIDED


async def test_a_lost_round_of_our_own_ledger_is_void_and_not_played_to_its_end(stage: Stage) -> None:
    stage.world.reserve(stage.bet)
    _, ended = await begun_by(stage, Action.VOID)
    assert stage.attempts == ["durable intervene", "reserve", "durable emit"]
    assert ended.closed == VOIDED


async def test_a_lost_round_that_is_retried_goes_to_its_end(stage: Stage) -> None:
    on_record(stage)
    intervened, ended = await begun_by(stage, Action.RETRY_NOW)
    assert intervened.verdict is InterventionVerdict.ACCEPTED
    assert ended.closed == SETTLED


async def test_a_lost_round_that_was_being_released_is_released_and_not_settled(stage: Stage) -> None:
    """Begun anew, its reserve finds it pending: a settle that waited for the release would wait for ever."""
    stage.world.reserve(stage.bet)
    round_ = stage.world.rounds[stage.bet.key]
    round_.releasing, round_.failure_code = True, VOIDED_BY_OPERATOR
    ended = await stage.play()
    assert stage.attempts[-2:] == ["durable release", "durable emit"]
    assert ended.closed == VOIDED


async def _until_emitted(stage: Stage) -> None:
    async def emitted() -> bool:
        return "emit" in stage.world.effects

    await until(emitted, within_s=PATIENCE_S)


async def begun_by(stage: Stage, action: Action) -> tuple[InterventionResult, Ended]:
    """As the ingress decides about a round whether Temporal has its workflow or not."""
    decision = stage.decision(action)
    async with stage.worker(), asyncio.timeout(PATIENCE_S):
        intervened: InterventionResult = await stage.client.execute_update_with_start_workflow(
            INTERVENE_UPDATE,
            decision,
            start_workflow_operation=WithStartWorkflowOperation(
                ROUND_WORKFLOW,
                stage.bet,
                id=stage.bet.key.workflow_id,
                task_queue=stage.task_queue,
                result_type=RoundClosed,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            ),
            id=decision.intervention_id,
            result_type=InterventionResult,
        )
        handle = stage.client.get_workflow_handle(stage.bet.key.workflow_id, result_type=RoundClosed)
        return intervened, await stage.end(handle)
