"""RoundWorkflow when it is cancelled: before settle the round is void, from settle on it goes to its end."""

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import CancelledError

from contracts.failures import RESOLVE_FAILED, ROUND_CANCELLED
from contracts.rounds import Resolution, RoundState, SettleRequest
from tests.workflow.faults import PATIENT, SHORT, Breaks, Hangs
from tests.workflow.journeys import PAID, QUICK_ATTEMPTS, SETTLED, journey_through
from tests.workflow.stage import Played, Stage, heard, within
from tests.workflow.world import OPENING_BALANCE


@pytest.mark.parametrize("step", ["reserve", "resolve"])
@pytest.mark.parametrize("late", [False, True], ids=["before-its-effect", "after-its-effect"])
async def test_a_round_cancelled_before_settle_gives_the_stake_back_and_ends_cancelled(
    stage: Stage, step: str, late: bool
) -> None:
    stage.set(Breaks(step=step, way=SHORT, times=2))
    hangs = stage.set(Hangs(step=step, way=PATIENT, late=late))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        played = await stage.end(handle)
    reserved = step == "resolve" or late
    assert stage.world.effects == ["reserve"] * reserved + ["release", "emit"]
    assert stage.attempts[-2:] == ["release", "emit"]
    _assert_cancelled(stage, played)


async def test_a_cancelled_reserve_that_comes_late_holds_nothing(stage: Stage) -> None:
    stage.set(Breaks(step="reserve", way=SHORT, times=2))
    late = stage.set(Hangs(step="reserve", way=PATIENT, deaf=True))
    async with stage.playing() as handle:
        await within(late.reached)
        await handle.cancel()
        played = await stage.end(handle)
        late.go.set()
        await within(late.over)
    assert stage.world.effects == ["release", "emit"]
    stage.world.assert_whole()
    _assert_cancelled(stage, played)


@pytest.mark.parametrize("step", ["settle", "release", "emit"])
@pytest.mark.parametrize("late", [False, True], ids=["before-its-effect", "after-its-effect"])
async def test_a_round_cancelled_from_settle_on_or_while_it_is_voided_goes_to_its_end(
    stage: Stage, step: str, late: bool
) -> None:
    journey = journey_through(step, stage)
    quick = QUICK_ATTEMPTS[step]
    stage.set(Breaks(step=step, way=SHORT, times=quick))
    hangs = stage.set(Hangs(step=step, way=PATIENT, late=late))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        await heard(handle)
        hangs.go.set()
        played = await stage.end(handle)
    assert stage.attempts == journey.troubled(step, [step] * quick + [f"patient {step}"])
    assert stage.world.effects == list(journey.effects)
    assert played.closed == journey.closed
    assert played.status is WorkflowExecutionStatus.COMPLETED


@pytest.mark.parametrize("step", ["reserve", "resolve", "settle", "emit"])
async def test_a_cancellation_that_the_fast_path_outran_finds_the_round_settled(
    stage: Stage, step: str
) -> None:
    """Temporal tells of a cancellation only with the next workflow task. The fast path has none: it plays
    to its end, then Temporal rejects that task for what it did not know, and the round is run again with
    the cancellation at its start. So release is asked for, and the ledger's answer stands: settled."""
    hangs = stage.set(Hangs(step=step, way=SHORT))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        hangs.go.set()
        played = await stage.end(handle)
    assert "workflow_task_failed" in played.event_types
    assert stage.attempts == [*PAID.attempts, "release", "emit"]
    assert stage.world.effects == list(PAID.effects)
    assert played.closed == SETTLED
    assert played.status is WorkflowExecutionStatus.COMPLETED


async def test_a_cancellation_that_a_release_outran_finds_the_round_void_for_its_first_reason(
    stage: Stage,
) -> None:
    journey = journey_through("release", stage)
    hangs = stage.set(Hangs(step="release", way=SHORT))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        hangs.go.set()
        played = await stage.end(handle)
    assert stage.attempts == [*journey.attempts, "release", "emit"]
    assert stage.world.effects == list(journey.effects)
    assert stage.world.rounds[stage.bet.key].failure_code == RESOLVE_FAILED
    assert played.status is WorkflowExecutionStatus.CANCELED


@pytest.mark.parametrize("step", ["reserve", "resolve"])
async def test_a_cancellation_during_a_short_step_is_heard_when_the_step_turns_patient(
    stage: Stage, step: str
) -> None:
    short = stage.set(Hangs(step=step, way=SHORT))
    async with stage.playing() as handle:
        await within(short.reached)
        await handle.cancel()
        played = await stage.end(handle)
    # The patient reserve may or may not have begun when the cancellation overtook it.
    assert [effect for effect in stage.world.effects if effect != "reserve"] == ["release", "emit"]
    _assert_cancelled(stage, played)


async def test_a_round_cancelled_before_any_worker_saw_it_is_void_and_never_reserved(stage: Stage) -> None:
    handle = await stage.start(eager=False)
    await handle.cancel()
    async with stage.worker():
        played = await stage.end(handle)
    assert stage.attempts == ["release", "emit"]
    assert stage.world.effects == ["release", "emit"]
    _assert_cancelled(stage, played)


async def test_a_round_that_was_settled_before_is_emitted_though_its_repeat_be_cancelled(
    stage: Stage,
) -> None:
    stage.world.reserve(stage.bet)
    stage.world.settle(SettleRequest(bet=stage.bet, resolution=Resolution(outcome={}, win=0)))
    stage.set(Breaks(step="emit", way=SHORT))
    hangs = stage.set(Hangs(step="emit", way=PATIENT))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        await heard(handle)
        hangs.go.set()
        played = await stage.end(handle)
    assert played.closed == SETTLED
    assert stage.world.effects == ["reserve", "settle", "emit"]


def _assert_cancelled(stage: Stage, played: Played) -> None:
    assert played.status is WorkflowExecutionStatus.CANCELED
    assert isinstance(played.failure, CancelledError)
    round_ = stage.world.rounds[stage.bet.key]
    assert (round_.state, round_.failure_code) == (RoundState.VOID, ROUND_CANCELLED)
    assert stage.world.balance == OPENING_BALANCE
