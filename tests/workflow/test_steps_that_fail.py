"""RoundWorkflow when a step fails: once, for long, for good, or longer than there is patience.

What fails on the fast path costs that fast path, and the durable one takes the round from the beginning; so
only an activity of its own may refuse a round for good.
"""

import time
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
from tests.workflow.faults import DURABLE, FAST, Breaks, Meddles, Refuses
from tests.workflow.journeys import (
    DURABLE_PATH,
    FAST_PATH,
    PAID,
    STEPS,
    durable_path_through,
    fast_path_breaking_at,
)
from tests.workflow.stage import REQUEST_ID, Stage
from tests.workflow.world import OPENING_BALANCE
from workflows import policies

late_or_not = pytest.mark.parametrize("late", [False, True], ids=["before-its-effect", "after-its-effect"])
# For what an activity does last: whether the fast path had come as far, or was left at its beginning.
either_way = pytest.mark.parametrize(
    "way", [FAST, DURABLE], ids=["also-on-the-fast-path", "only-on-the-durable-path"]
)


@pytest.mark.parametrize("step", FAST_PATH)
@late_or_not
async def test_a_step_that_breaks_within_the_fast_path_costs_only_that_fast_path(
    stage: Stage, step: str, late: bool
) -> None:
    journey = fast_path_breaking_at(step, late=late)
    stage.set(Breaks(step=step, way=FAST, late=late))
    ended = await stage.play()
    assert stage.attempts == list(journey.attempts)
    assert stage.world.effects == list(journey.effects)
    assert ended.closed == journey.closed
    assert ended.status is WorkflowExecutionStatus.COMPLETED


@pytest.mark.parametrize("step", FAST_PATH)
async def test_a_step_that_refuses_within_the_fast_path_is_asked_again_before_the_round_is_given_up(
    stage: Stage, step: str
) -> None:
    journey = fast_path_breaking_at(step, late=False)
    stage.set(Refuses(step=step, way=FAST))
    ended = await stage.play()
    assert stage.attempts == list(journey.attempts)
    assert stage.world.effects == list(journey.effects)
    assert ended.closed == journey.closed


@pytest.mark.parametrize("step", STEPS)
@late_or_not
async def test_a_step_that_fails_for_long_is_mended_by_its_repeats(
    stage: Stage, step: str, late: bool
) -> None:
    journey = durable_path_through(step, stage)
    stage.set(Breaks(step=step, way=DURABLE, late=late, times=5))
    ended = await stage.play()
    assert stage.attempts == journey.troubled(step, 5)
    assert stage.world.effects == list(journey.effects)
    assert ended.closed == journey.closed
    assert ended.status is WorkflowExecutionStatus.COMPLETED


@pytest.mark.parametrize("step", FAST_PATH)
@late_or_not
async def test_a_step_that_fails_for_long_from_the_fast_path_on_is_mended_by_its_repeats(
    stage: Stage, step: str, late: bool
) -> None:
    journey = fast_path_breaking_at(step, late=late)
    # A settle whose answer was lost is not asked again: reserve tells that the round is closed.
    repeats = 0 if step == "settle" and late else 4
    stage.set(Breaks(step=step, late=late, times=1 + repeats))
    ended = await stage.play()
    assert stage.attempts == (journey.troubled(step, repeats) if repeats else list(journey.attempts))
    assert stage.world.effects == list(journey.effects)
    assert ended.closed == journey.closed


@pytest.mark.parametrize("step", ["settle", "release", "emit"])
async def test_a_step_that_may_not_be_given_up_is_repeated_beyond_any_patience(
    stage: Stage, step: str
) -> None:
    journey = durable_path_through(step, stage)
    stage.set(Breaks(step=step, way=DURABLE, times=25))
    ended = await stage.play()
    assert stage.world.effects == list(journey.effects)
    assert ended.closed == journey.closed
    assert ended.duration > timedelta(minutes=2)


async def test_an_emit_that_the_fast_path_left_is_repeated_beyond_any_patience(stage: Stage) -> None:
    stage.set(Breaks(step="emit", times=26))
    ended = await stage.play()
    assert stage.attempts == [*FAST_PATH, *["durable emit"] * 26]
    assert stage.world.effects == list(PAID.effects)
    assert ended.closed == PAID.closed
    assert ended.duration > timedelta(minutes=2)


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
    began = time.monotonic()
    ended = await stage.play()
    passed = timedelta(seconds=time.monotonic() - began)  # the server's clock counts it too
    assert fault.struck > 5
    assert patience / 2 < ended.duration <= patience + passed + timedelta(seconds=1)
    assert ended.closed == RoundClosed(state=RoundState.VOID, failure_code=code, request_id=REQUEST_ID)
    assert stage.attempts[-2:] == ["durable release", "durable emit"]
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
    before = _bring_to(stage, step, way)
    stage.set(Refuses(step=step, way=DURABLE, type=GAME_ERROR))
    ended = await stage.play()
    assert stage.attempts == [*before, f"durable {step}", "durable release", "durable emit"]
    assert stage.world.effects == ["reserve"] * (step == "resolve") + ["release", "emit"]
    assert ended.closed == RoundClosed(state=RoundState.VOID, failure_code=code, request_id=REQUEST_ID)
    assert stage.world.rounds[stage.bet.key].failure_detail == "GameError: it contradicts what is stored"


async def test_an_error_text_is_bounded_before_it_reaches_the_ledger(stage: Stage) -> None:
    stage.set(Refuses(step="resolve", times=2, type=GAME_ERROR, message="long " * 1_000))
    await stage.play()
    detail = stage.world.rounds[stage.bet.key].failure_detail
    assert detail is not None
    assert detail.startswith("GameError: long long")
    assert len(detail) == DETAIL_LIMIT


@either_way
async def test_a_settle_that_refuses_for_good_fails_loudly_and_is_not_followed_by_a_release(
    stage: Stage, way: str
) -> None:
    before = _bring_to(stage, "settle", way)
    stage.set(Refuses(step="settle", way=DURABLE))
    ended = await stage.play(whole=False)
    assert stage.attempts == [*before, "durable settle"]
    assert stage.world.effects == ["reserve"]
    assert ended.status is WorkflowExecutionStatus.FAILED
    assert _type_of(ended.failure) == LEDGER_CONFLICT


async def test_a_settle_of_what_was_never_reserved_fails_loudly_and_moves_nothing(stage: Stage) -> None:
    _bring_to(stage, "settle", DURABLE)
    stage.set(Meddles(step="settle", way=DURABLE, act=lambda: _forget(stage)))
    ended = await stage.play()
    assert stage.attempts[-1] == "durable settle"
    assert ended.status is WorkflowExecutionStatus.FAILED
    assert _type_of(ended.failure) == LEDGER_CONFLICT
    assert stage.world.balance == OPENING_BALANCE


async def test_a_settle_within_the_fast_path_of_what_was_never_reserved_is_taken_again_from_reserve(
    stage: Stage,
) -> None:
    stage.set(Meddles(step="settle", way=FAST, act=lambda: _forget(stage)))
    ended = await stage.play()
    assert stage.attempts == ["reserve", "resolve", "settle", *DURABLE_PATH]
    assert stage.world.effects == ["reserve", *PAID.effects]
    assert ended.closed == PAID.closed


@either_way
async def test_a_release_that_refuses_for_good_fails_loudly(stage: Stage, way: str) -> None:
    before = _bring_to(stage, "resolve", way)
    stage.set(Refuses(step="resolve", way=DURABLE))
    stage.set(Refuses(step="release"))
    ended = await stage.play(whole=False)
    assert stage.attempts == [*before, "durable resolve", "durable release"]
    assert stage.world.effects == ["reserve"]
    assert ended.status is WorkflowExecutionStatus.FAILED


@either_way
async def test_an_emit_that_refuses_for_good_fails_loudly_and_takes_nothing_back(
    stage: Stage, way: str
) -> None:
    before = _bring_to(stage, "emit", way)
    stage.set(Refuses(step="emit", way=DURABLE))
    ended = await stage.play(whole=False)
    assert stage.attempts == [*before, "durable emit"]
    assert stage.world.effects == ["reserve", "settle"]
    assert stage.world.held == 0
    assert ended.status is WorkflowExecutionStatus.FAILED


async def test_a_release_after_an_uncertain_reserve_is_as_patient_as_any(stage: Stage) -> None:
    stage.set(Breaks(step="reserve", late=True, times=None))
    stage.set(Breaks(step="release", times=6))
    stage.set(Breaks(step="emit", times=3))
    ended = await stage.play()
    assert stage.world.effects == ["reserve", "release", "emit"]
    assert ended.closed == RoundClosed(
        state=RoundState.VOID, failure_code=RESERVE_UNCERTAIN, request_id=REQUEST_ID
    )


def _bring_to(stage: Stage, step: str, way: str) -> list[str]:
    """Makes the fast path refuse `step` (FAST), or break at once (DURABLE); the attempts before the one of
    `step` as an activity of its own."""
    if way == FAST:
        stage.set(Refuses(step=step, way=FAST))
        journey = fast_path_breaking_at(step, late=False)
    else:
        journey = durable_path_through(step, stage)
    return list(journey.attempts[: journey.attempts.index(f"durable {step}")])


def _forget(stage: Stage) -> None:
    stage.world.rounds.clear()
    stage.world.held = 0


def _type_of(failure: BaseException | None) -> str | None:
    cause = failure.cause if isinstance(failure, ActivityError) else failure
    return cause.type if isinstance(cause, ApplicationError) else None
