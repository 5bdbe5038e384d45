"""RoundWorkflow when nothing breaks: a round is settled, refused, void, or was closed before."""

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from contracts.failures import INSUFFICIENT_FUNDS, RESOLVE_FAILED, ROUND_CANCELLED
from contracts.rounds import EmitRequest, ReleaseRequest, Resolution, RoundClosed, RoundState, SettleRequest
from tests.workflow.faults import Meddles, Refuses
from tests.workflow.journeys import SETTLED
from tests.workflow.stage import REQUEST_ID, STAKE, Stage
from tests.workflow.world import OPENING_BALANCE, WIN


async def test_a_round_reserves_resolves_settles_and_emits(stage: Stage) -> None:
    played = await stage.play()
    assert played.closed == SETTLED
    assert stage.attempts == ["reserve", "resolve", "settle", "emit"]
    assert stage.world.effects == ["reserve", "settle", "emit"]
    assert stage.world.balance == OPENING_BALANCE - STAKE + WIN


async def test_a_settled_round_costs_nine_history_events_and_two_state_transitions(stage: Stage) -> None:
    async with stage.playing() as handle:
        played = await stage.end(handle)
        description = await handle.describe()
    assert played.event_types == [
        "workflow_execution_started",
        "workflow_task_scheduled",
        "workflow_task_started",
        "workflow_task_completed",
        *["marker_recorded"] * 4,
        "workflow_execution_completed",
    ]
    assert description.raw_description.workflow_execution_info.state_transition_count == 2


async def test_a_bet_above_the_balance_is_declined_and_nothing_else_is_done(skipping: Client) -> None:
    stage = Stage(skipping, "above-the-balance", stake=OPENING_BALANCE + 1)
    played = await stage.play()
    assert played.closed == RoundClosed(
        state=RoundState.DECLINED, failure_code=INSUFFICIENT_FUNDS, request_id=REQUEST_ID
    )
    assert stage.attempts == ["reserve"]
    assert stage.world.effects == ["decline"]
    assert stage.world.balance == OPENING_BALANCE


@pytest.mark.parametrize("published", [False, True], ids=["unpublished", "published"])
async def test_a_round_that_was_settled_before_is_answered_and_not_played_again(
    stage: Stage, published: bool
) -> None:
    stage.world.reserve(stage.bet)
    terminal = stage.world.settle(SettleRequest(bet=stage.bet, resolution=Resolution(outcome={}, win=0)))
    if published:
        assert terminal.event_id is not None
        stage.world.emit(EmitRequest(event_id=terminal.event_id))
    played = await stage.play()
    assert played.closed == SETTLED
    assert stage.attempts == ["reserve", "emit"]
    assert stage.world.effects == ["reserve", "settle", "emit"]


async def test_a_round_that_was_voided_before_is_answered_void_and_not_played_again(stage: Stage) -> None:
    stage.world.reserve(stage.bet)
    stage.world.release(
        ReleaseRequest(bet=stage.bet, failure_code=ROUND_CANCELLED, failure_detail="by an operator")
    )
    played = await stage.play()
    assert played.closed == RoundClosed(
        state=RoundState.VOID, failure_code=ROUND_CANCELLED, request_id=REQUEST_ID
    )
    assert played.status is WorkflowExecutionStatus.COMPLETED
    assert stage.attempts == ["reserve", "emit"]


async def test_a_stake_that_is_held_already_is_taken_up_and_played_to_its_end(stage: Stage) -> None:
    stage.world.reserve(stage.bet)
    played = await stage.play()
    assert played.closed == SETTLED
    assert stage.world.effects == ["reserve", "settle", "emit"]


async def test_a_settle_that_finds_the_round_void_answers_void_and_pays_nothing(stage: Stage) -> None:
    def release_first() -> None:
        stage.world.release(
            ReleaseRequest(bet=stage.bet, failure_code=ROUND_CANCELLED, failure_detail="by an operator")
        )

    stage.set(Meddles(step="resolve", act=release_first))
    played = await stage.play()
    assert played.closed == RoundClosed(
        state=RoundState.VOID, failure_code=ROUND_CANCELLED, request_id=REQUEST_ID
    )
    assert stage.attempts == ["reserve", "resolve", "settle", "emit"]
    assert stage.world.effects == ["reserve", "release", "emit"]


async def test_a_release_that_finds_the_round_settled_answers_settled(stage: Stage) -> None:
    def settle_first() -> None:
        stage.world.settle(SettleRequest(bet=stage.bet, resolution=Resolution(outcome={}, win=WIN)))

    stage.set(Refuses(step="resolve"))
    stage.set(Meddles(step="release", act=settle_first))
    played = await stage.play()
    assert played.closed == SETTLED
    assert stage.attempts == ["reserve", "resolve", "release", "emit"]
    assert stage.world.effects == ["reserve", "settle", "emit"]


async def test_a_round_whose_outcome_cannot_be_computed_is_void_and_its_stake_given_back(
    stage: Stage,
) -> None:
    stage.set(Refuses(step="resolve"))
    played = await stage.play()
    assert played.closed == RoundClosed(
        state=RoundState.VOID, failure_code=RESOLVE_FAILED, request_id=REQUEST_ID
    )
    assert played.status is WorkflowExecutionStatus.COMPLETED
    assert stage.world.effects == ["reserve", "release", "emit"]
    assert stage.world.balance == OPENING_BALANCE
