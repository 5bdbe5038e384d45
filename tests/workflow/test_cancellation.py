"""RoundWorkflow when it is cancelled: before settle the round is void, from settle on it goes to its end."""

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import CancelledError

from contracts.failures import RESOLVE_FAILED, ROUND_CANCELLED
from contracts.rounds import ReleaseRequest, Resolution, RoundState, SettleRequest
from tests.workflow.faults import DURABLE, FAST, Breaks, Hangs
from tests.workflow.journeys import FAST_PATH, PAID, SETTLED, durable_path_through
from tests.workflow.limits import at_the_limit
from tests.workflow.stage import Ended, Stage, heard, within
from tests.workflow.world import OPENING_BALANCE

late_or_not = pytest.mark.parametrize("late", [False, True], ids=["before-its-effect", "after-its-effect"])


@pytest.mark.parametrize("step", ["reserve", "resolve"])
@late_or_not
async def test_a_round_cancelled_before_settle_gives_the_stake_back_and_ends_cancelled(
    stage: Stage, step: str, late: bool
) -> None:
    durable_path_through(step, stage)
    hangs = stage.set(Hangs(step=step, way=DURABLE, late=late))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        ended = await stage.end(handle)
    reserved = step == "resolve" or late
    assert stage.world.effects == ["reserve"] * reserved + ["release", "emit"]
    assert stage.attempts[-2:] == ["durable release", "durable emit"]
    _assert_cancelled(stage, ended)


async def test_a_cancelled_reserve_that_comes_late_holds_nothing(stage: Stage) -> None:
    durable_path_through("reserve", stage)
    late = stage.set(Hangs(step="reserve", way=DURABLE, deaf=True))
    async with stage.playing() as handle:
        await within(late.reached)
        await handle.cancel()
        ended = await stage.end(handle)
        late.go.set()
        await within(late.over)
    assert stage.world.effects == ["release", "emit"]
    stage.world.assert_whole()
    _assert_cancelled(stage, ended)


@at_the_limit
@pytest.mark.parametrize("step", ["reserve", "resolve", "settle"])
async def test_a_fast_path_that_comes_back_after_its_round_was_cancelled_holds_and_pays_nothing(
    stage: Stage, step: str
) -> None:
    late = stage.set(Hangs(step=step, way=FAST, deaf=True))
    hangs = stage.set(Hangs(step="reserve", way=DURABLE))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        ended = await stage.end(handle)
        late.go.set()
        await within(late.over)
    assert stage.world.effects == ["reserve"] * (step != "reserve") + ["release", "emit"]
    stage.world.assert_whole()
    _assert_cancelled(stage, ended)


@pytest.mark.parametrize("step", ["settle", "release", "emit"])
@late_or_not
async def test_a_round_cancelled_from_settle_on_or_while_it_is_voided_goes_to_its_end(
    stage: Stage, step: str, late: bool
) -> None:
    journey = durable_path_through(step, stage)
    hangs = stage.set(Hangs(step=step, way=DURABLE, late=late))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        await heard(handle)
        hangs.go.set()
        ended = await stage.end(handle)
    assert stage.attempts == list(journey.attempts)
    assert stage.world.effects == list(journey.effects)
    assert ended.closed == journey.closed
    assert ended.status is WorkflowExecutionStatus.COMPLETED


@late_or_not
async def test_a_round_cancelled_when_only_its_event_is_left_goes_to_its_end(
    stage: Stage, late: bool
) -> None:
    stage.set(Breaks(step="emit", way=FAST))
    hangs = stage.set(Hangs(step="emit", way=DURABLE, late=late))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        await heard(handle)
        hangs.go.set()
        ended = await stage.end(handle)
    assert stage.attempts == [*FAST_PATH, "durable emit"]
    assert stage.world.effects == list(PAID.effects)
    assert ended.closed == SETTLED
    assert ended.status is WorkflowExecutionStatus.COMPLETED


@pytest.mark.parametrize("step", FAST_PATH)
async def test_a_cancellation_that_the_fast_path_outran_finds_the_round_settled(
    stage: Stage, step: str
) -> None:
    """Temporal tells of a cancellation only with the next workflow task. A round on the fast path has none:
    it plays to its end, then Temporal rejects that task for what it did not know, and the round is run again
    with the cancellation at its start. So release is asked for, and the ledger's answer stands: settled."""
    hangs = stage.set(Hangs(step=step, way=FAST))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        hangs.go.set()
        ended = await stage.end(handle)
    assert "workflow_task_failed" in ended.event_types
    assert stage.attempts == [*FAST_PATH, "durable release", "durable emit"]
    assert stage.world.effects == list(PAID.effects)
    assert ended.closed == SETTLED
    assert ended.status is WorkflowExecutionStatus.COMPLETED


async def test_a_cancellation_that_a_refusal_outran_finds_the_round_declined(skipping: Client) -> None:
    stage = Stage(skipping, "refused-before-cancelled", stake=OPENING_BALANCE + 1)
    hangs = stage.set(Hangs(step="reserve", way=FAST))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        hangs.go.set()
        ended = await stage.end(handle)
    assert stage.attempts == ["reserve", "durable release"]
    assert stage.world.effects == ["decline"]
    assert ended.closed is not None
    assert ended.closed.state is RoundState.DECLINED
    assert ended.status is WorkflowExecutionStatus.COMPLETED


async def test_a_cancellation_that_a_release_outran_finds_the_round_void_for_its_first_reason(
    stage: Stage,
) -> None:
    durable_path_through("reserve", stage)
    hangs = stage.set(Hangs(step="reserve", way=DURABLE, late=True))
    async with stage.playing() as handle:
        await within(hangs.reached)
        stage.world.release(
            ReleaseRequest(bet=stage.bet, failure_code=RESOLVE_FAILED, failure_detail="by another worker")
        )
        await handle.cancel()
        ended = await stage.end(handle)
    assert stage.attempts == ["reserve", "durable reserve", "durable release", "durable emit"]
    assert stage.world.effects == ["reserve", "release", "emit"]
    assert stage.world.rounds[stage.bet.key].failure_code == RESOLVE_FAILED
    assert ended.status is WorkflowExecutionStatus.CANCELED


@at_the_limit
@pytest.mark.parametrize(
    ("step", "late"),
    [("reserve", False), ("reserve", True), ("resolve", False), ("resolve", True), ("settle", False)],
)
async def test_a_cancellation_during_a_fast_path_that_ends_before_settle_took_effect_voids_the_round(
    stage: Stage, step: str, late: bool
) -> None:
    """It is heard when the round turns to the durable path."""
    ended = await _cancelled_during_fast_path(stage, Hangs(step=step, way=FAST, late=late))
    # Reserve as an activity of its own may or may not have begun when the cancellation overtook it.
    assert [effect for effect in stage.world.effects if effect != "reserve"] == ["release", "emit"]
    assert stage.attempts[-2:] == ["durable release", "durable emit"]
    _assert_cancelled(stage, ended)


@at_the_limit
@pytest.mark.parametrize(("step", "late"), [("settle", True), ("emit", False), ("emit", True)])
async def test_a_cancellation_during_a_fast_path_that_had_settled_finds_the_round_settled(
    stage: Stage, step: str, late: bool
) -> None:
    ended = await _cancelled_during_fast_path(stage, Hangs(step=step, way=FAST, late=late))
    assert stage.world.effects == list(PAID.effects)
    assert ended.closed == SETTLED
    assert ended.status is WorkflowExecutionStatus.COMPLETED


async def test_a_round_cancelled_before_any_worker_saw_it_is_void_and_never_reserved(stage: Stage) -> None:
    handle = await stage.start(eager=False)
    await handle.cancel()
    async with stage.worker():
        ended = await stage.end(handle)
    assert stage.attempts == ["durable release", "durable emit"]
    assert stage.world.effects == ["release", "emit"]
    _assert_cancelled(stage, ended)


@pytest.mark.parametrize("way", [FAST, DURABLE])
async def test_a_round_that_was_settled_before_is_emitted_though_its_repeat_be_cancelled(
    stage: Stage, way: str
) -> None:
    stage.world.reserve(stage.bet)
    stage.world.settle(SettleRequest(bet=stage.bet, resolution=Resolution(outcome={}, win=0)))
    if way == DURABLE:
        stage.set(Breaks(step="reserve", way=FAST))
    hangs = stage.set(Hangs(step="emit", way=DURABLE))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        await heard(handle)
        hangs.go.set()
        ended = await stage.end(handle)
    assert ended.closed == SETTLED
    assert stage.world.effects == ["reserve", "settle", "emit"]


async def _cancelled_during_fast_path(stage: Stage, hangs: Hangs) -> Ended:
    """The fast path hangs to its limit, so it has not outrun the cancellation."""
    stage.set(hangs)
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        return await stage.end(handle)


def _assert_cancelled(stage: Stage, ended: Ended) -> None:
    assert ended.status is WorkflowExecutionStatus.CANCELED
    assert isinstance(ended.failure, CancelledError)
    round_ = stage.world.rounds[stage.bet.key]
    assert (round_.state, round_.failure_code) == (RoundState.VOID, ROUND_CANCELLED)
    assert stage.world.balance == OPENING_BALANCE
