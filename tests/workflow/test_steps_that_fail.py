"""RoundWorkflow when a step fails: once, for long, for good, or longer than there is patience."""

from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import ActivityError, ApplicationError

from contracts.failures import (
    DETAIL_LIMIT,
    GAME_ERROR,
    LEDGER_CONFLICT,
    RESERVE_UNCERTAIN,
    RESOLVE_FAILED,
)
from contracts.rounds import RoundClosed, RoundState
from tests.workflow.faults import PATIENT, SHORT, Breaks, Meddles, Refuses
from tests.workflow.journeys import QUICK_ATTEMPTS, STEPS, journey_through
from tests.workflow.stage import REQUEST_ID, Stage
from tests.workflow.world import OPENING_BALANCE
from workflows import policies

late_or_not = pytest.mark.parametrize("late", [False, True], ids=["before-its-effect", "after-its-effect"])
either_way = pytest.mark.parametrize("way", [SHORT, PATIENT])


@pytest.mark.parametrize("step", ["reserve", "resolve", "settle", "release"])
@late_or_not
async def test_a_step_that_fails_once_is_mended_by_its_quick_repeat(
    stage: Stage, step: str, late: bool
) -> None:
    journey = journey_through(step, stage)
    stage.set(Breaks(step=step, late=late))
    played = await stage.play()
    assert stage.attempts == journey.troubled(step, [step, step])
    assert stage.world.effects == list(journey.effects)
    assert played.closed == journey.closed
    assert "activity_task_scheduled" not in played.event_types


@late_or_not
async def test_an_emit_that_fails_once_goes_on_the_patient_way(stage: Stage, late: bool) -> None:
    journey = journey_through("emit", stage)
    stage.set(Breaks(step="emit", late=late))
    played = await stage.play()
    assert stage.attempts == journey.troubled("emit", ["emit", "patient emit"])
    assert stage.world.effects == list(journey.effects)
    assert played.closed == journey.closed


@pytest.mark.parametrize("step", STEPS)
@late_or_not
async def test_a_step_that_fails_for_long_is_mended_on_the_patient_way(
    stage: Stage, step: str, late: bool
) -> None:
    quick, patient = QUICK_ATTEMPTS[step], 4
    journey = journey_through(step, stage)
    stage.set(Breaks(step=step, late=late, times=quick + patient))
    played = await stage.play()
    assert stage.attempts == journey.troubled(step, [step] * quick + [f"patient {step}"] * (patient + 1))
    assert stage.world.effects == list(journey.effects)
    assert played.closed == journey.closed
    assert played.status is WorkflowExecutionStatus.COMPLETED


@pytest.mark.parametrize("step", ["settle", "release", "emit"])
async def test_a_step_that_may_not_be_given_up_is_repeated_beyond_any_patience(
    stage: Stage, step: str
) -> None:
    journey = journey_through(step, stage)
    stage.set(Breaks(step=step, times=QUICK_ATTEMPTS[step] + 24))
    played = await stage.play()
    assert stage.world.effects == list(journey.effects)
    assert played.closed == journey.closed
    assert played.duration > timedelta(minutes=2)


@pytest.mark.parametrize(
    ("step", "patience", "code"),
    [
        ("reserve", policies.RESERVE.patience, RESERVE_UNCERTAIN),
        ("resolve", policies.RESOLVE.patience, RESOLVE_FAILED),
    ],
)
@late_or_not
async def test_a_step_before_settle_is_given_up_when_its_patience_ends_and_the_stake_goes_back(
    stage: Stage, step: str, patience: timedelta | None, code: str, late: bool
) -> None:
    assert patience is not None
    fault = stage.set(Breaks(step=step, late=late, times=None))
    played = await stage.play()
    assert fault.struck > 5
    assert patience / 2 < played.duration <= patience + timedelta(seconds=5)
    assert played.closed == RoundClosed(state=RoundState.VOID, failure_code=code, request_id=REQUEST_ID)
    assert stage.attempts[-2:] == ["release", "emit"]
    reserved = step == "resolve" or late
    assert stage.world.effects == ["reserve"] * reserved + ["release", "emit"]
    assert stage.world.balance == OPENING_BALANCE
    assert stage.world.rounds[stage.bet.key].failure_detail == "ConnectionError: the connection was lost"


@pytest.mark.parametrize(
    ("step", "code"),
    [("reserve", RESERVE_UNCERTAIN), ("resolve", RESOLVE_FAILED)],
    ids=["reserve", "resolve"],
)
@either_way
async def test_a_step_before_settle_that_refuses_for_good_voids_the_round_at_once(
    stage: Stage, step: str, code: str, way: str
) -> None:
    brought = _bring_to(stage, step, way)
    stage.set(Refuses(step=step, way=way, type=GAME_ERROR))
    played = await stage.play()
    before = ["reserve"] if step == "resolve" else []
    assert stage.attempts == [*before, *brought, "release", "emit"]
    assert stage.world.effects == [*before, "release", "emit"]
    assert played.closed == RoundClosed(state=RoundState.VOID, failure_code=code, request_id=REQUEST_ID)
    assert stage.world.rounds[stage.bet.key].failure_detail == "GameError: it contradicts what is stored"


async def test_an_error_text_is_bounded_before_it_reaches_the_ledger(stage: Stage) -> None:
    stage.set(Refuses(step="resolve", type=GAME_ERROR, message="long " * 1_000))
    await stage.play()
    detail = stage.world.rounds[stage.bet.key].failure_detail
    assert detail is not None
    assert detail.startswith("GameError: long long")
    assert len(detail) == DETAIL_LIMIT


@either_way
async def test_a_settle_that_refuses_for_good_fails_loudly_and_is_not_followed_by_a_release(
    stage: Stage, way: str
) -> None:
    brought = _bring_to(stage, "settle", way)
    stage.set(Refuses(step="settle", way=way))
    played = await stage.play(whole=False)
    assert stage.attempts == ["reserve", "resolve", *brought]
    assert stage.world.effects == ["reserve"]
    assert played.status is WorkflowExecutionStatus.FAILED
    assert _type_of(played.failure) == LEDGER_CONFLICT


async def test_a_settle_of_what_was_never_reserved_fails_loudly_and_moves_nothing(stage: Stage) -> None:
    def forget() -> None:
        stage.world.rounds.clear()
        stage.world.held = 0

    stage.set(Meddles(step="settle", act=forget))
    played = await stage.play()
    assert stage.attempts == ["reserve", "resolve", "settle"]
    assert played.status is WorkflowExecutionStatus.FAILED
    assert _type_of(played.failure) == LEDGER_CONFLICT
    assert stage.world.balance == OPENING_BALANCE


@either_way
async def test_a_release_that_refuses_for_good_fails_loudly(stage: Stage, way: str) -> None:
    stage.set(Refuses(step="resolve"))
    brought = _bring_to(stage, "release", way)
    stage.set(Refuses(step="release", way=way))
    played = await stage.play(whole=False)
    assert stage.attempts == ["reserve", "resolve", *brought]
    assert stage.world.effects == ["reserve"]
    assert played.status is WorkflowExecutionStatus.FAILED


@either_way
async def test_an_emit_that_refuses_for_good_fails_loudly_and_takes_nothing_back(
    stage: Stage, way: str
) -> None:
    brought = _bring_to(stage, "emit", way)
    stage.set(Refuses(step="emit", way=way))
    played = await stage.play(whole=False)
    assert stage.attempts == ["reserve", "resolve", "settle", *brought]
    assert stage.world.effects == ["reserve", "settle"]
    assert stage.world.held == 0
    assert played.status is WorkflowExecutionStatus.FAILED


async def test_a_release_after_an_uncertain_reserve_is_as_patient_as_any(stage: Stage) -> None:
    stage.set(Breaks(step="reserve", late=True, times=None))
    stage.set(Breaks(step="release", times=6))
    stage.set(Breaks(step="emit", times=3))
    played = await stage.play()
    assert stage.world.effects == ["reserve", "release", "emit"]
    assert played.closed == RoundClosed(
        state=RoundState.VOID, failure_code=RESERVE_UNCERTAIN, request_id=REQUEST_ID
    )


def _bring_to(stage: Stage, step: str, way: str) -> list[str]:
    """Makes the short way fail if the patient one is wanted; the attempts up to the one on `way`."""
    if way == SHORT:
        return [step]
    stage.set(Breaks(step=step, way=SHORT, times=QUICK_ATTEMPTS[step]))
    return [step] * QUICK_ATTEMPTS[step] + [f"patient {step}"]


def _type_of(failure: BaseException | None) -> str | None:
    cause = failure.cause if isinstance(failure, ActivityError) else failure
    return cause.type if isinstance(cause, ApplicationError) else None
