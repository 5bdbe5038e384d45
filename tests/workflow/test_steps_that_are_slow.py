"""RoundWorkflow when a step is slow: the round goes on without it, and nothing is done twice for that."""

import asyncio
from collections.abc import Callable
from itertools import product
from typing import Final

import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.workflow.faults import DURABLE, FAST, Hangs, Refuses
from tests.workflow.journeys import (
    DURABLE_PATH,
    FAST_PATH,
    PAID,
    durable_path_through,
    fast_path_failing_at,
    for_each_step,
)
from tests.workflow.limits import at_the_limit, attempts_run_out
from tests.workflow.stage import Stage, within

late_or_not = pytest.mark.parametrize("late", [False, True], ids=["before-its-effect", "after-its-effect"])

# What a fast path that was given up still does when its slow step comes back and the round has ended.
AFTERMATH: Final = {"reserve": [], "resolve": ["settle"], "settle": [], "emit": []}


@at_the_limit
@late_or_not
async def test_a_round_beyond_the_limit_of_its_fast_path_is_taken_again_on_the_durable_path(
    new_stage: Callable[[], Stage], late: bool
) -> None:
    async def slow(step: str) -> None:
        stage = new_stage()
        journey = fast_path_failing_at(step, late=late)
        stage.set(Hangs(step=step, way=FAST, late=late))
        ended = await stage.play()
        assert stage.attempts == list(journey.attempts)
        assert stage.world.effects == list(journey.effects)
        assert ended.closed == journey.closed
        assert ended.status is WorkflowExecutionStatus.COMPLETED

    await for_each_step(slow, FAST_PATH)


@attempts_run_out
@late_or_not
async def test_an_activity_beyond_the_limit_of_its_attempt_is_tried_again(
    new_stage: Callable[[], Stage], late: bool
) -> None:
    async def slow(step: str) -> None:
        stage = new_stage()
        journey = durable_path_through(step, stage)
        stage.set(Hangs(step=step, way=DURABLE, late=late))
        ended = await stage.play()
        assert stage.attempts == journey.troubled(step, 1)
        assert stage.world.effects == list(journey.effects)
        assert ended.closed == journey.closed
        assert ended.status is WorkflowExecutionStatus.COMPLETED

    await for_each_step(slow)


@at_the_limit
async def test_a_fast_path_whose_effect_comes_after_the_round_has_ended_changes_nothing_more(
    new_stage: Callable[[], Stage],
) -> None:
    async def much_too_slow(step: str) -> None:
        stage = new_stage()
        journey = fast_path_failing_at(step, late=False)
        late = stage.set(Hangs(step=step, way=FAST, deaf=True))
        async with stage.playing() as handle:
            ended = await stage.end(handle)
            late.go.set()
            await within(late.over)
        assert stage.attempts == [*journey.attempts, *AFTERMATH[step]]
        assert ended.closed == journey.closed
        assert stage.world.effects == list(journey.effects)
        stage.world.assert_whole()

    await for_each_step(much_too_slow, FAST_PATH)


@attempts_run_out
async def test_an_activity_whose_effect_comes_after_the_round_has_ended_changes_nothing_more(
    new_stage: Callable[[], Stage],
) -> None:
    async def much_too_slow(step: str) -> None:
        stage = new_stage()
        journey = durable_path_through(step, stage)
        late = stage.set(Hangs(step=step, way=DURABLE, deaf=True))
        async with stage.playing() as handle:
            ended = await stage.end(handle)
            late.go.set()
            await within(late.over)
        assert stage.attempts == journey.troubled(step, 1)
        assert ended.closed == journey.closed
        assert stage.world.effects == list(journey.effects)
        stage.world.assert_whole()

    await for_each_step(much_too_slow)


@at_the_limit
@late_or_not
async def test_a_fast_path_that_comes_back_while_its_round_is_on_the_durable_path_doubles_nothing(
    new_stage: Callable[[], Stage], late: bool
) -> None:
    """Both play the round to its end then: each step may be taken by the one or by the other first."""

    async def both(slow: str, overtaken: str) -> None:
        stage = new_stage()
        fast_path = stage.set(Hangs(step=slow, way=FAST, deaf=True))
        activity = stage.set(Hangs(step=overtaken, way=DURABLE, late=late))
        async with stage.playing() as handle:
            await within(activity.reached)
            fast_path.go.set()
            await within(fast_path.over)
            activity.go.set()
            ended = await stage.end(handle)
        assert stage.world.effects == list(PAID.effects), (slow, overtaken)
        assert ended.closed == PAID.closed

    async with asyncio.TaskGroup() as group:
        for slow, overtaken in product(FAST_PATH[:3], FAST_PATH):
            group.create_task(both(slow, overtaken))


@at_the_limit
@pytest.mark.parametrize("slow", ["reserve", "resolve", "settle"])
@pytest.mark.parametrize("late", [False, True], ids=["before-the-release", "after-the-release"])
async def test_a_fast_path_that_comes_back_while_its_round_is_voided_meets_the_first_terminal(
    stage: Stage, slow: str, late: bool
) -> None:
    fast_path = stage.set(Hangs(step=slow, way=FAST, deaf=True))
    stage.set(Refuses(step="resolve", way=DURABLE))
    release = stage.set(Hangs(step="release", way=DURABLE, late=late))
    async with stage.playing() as handle:
        await within(release.reached)
        fast_path.go.set()
        await within(fast_path.over)
        release.go.set()
        ended = await stage.end(handle)
    terminal = "release" if late else "settle"
    assert stage.world.effects == ["reserve", terminal, "emit"]
    assert ended.closed is not None
    assert ended.closed.state == ("void" if late else "settled")
    assert [attempt for attempt in stage.attempts if attempt in DURABLE_PATH] == [
        "durable reserve",
        "durable resolve",
        "durable emit",
    ]
