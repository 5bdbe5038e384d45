"""RoundWorkflow when a step is slow: the round goes on without it, and nothing is done twice for that."""

import asyncio
from collections.abc import Callable
from itertools import product
from typing import Final

import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.workflow.faults import PATIENT, SHORT, Hangs, Refuses
from tests.workflow.journeys import (
    ONE_GO,
    PAID,
    STEP_BY_STEP,
    for_each_step,
    one_go_failing_at,
    step_by_step_through,
)
from tests.workflow.limits import at_the_limit
from tests.workflow.stage import Stage, within

late_or_not = pytest.mark.parametrize("late", [False, True], ids=["before-its-effect", "after-its-effect"])

# What a one go that was given up still does when its slow step comes back and the round has ended.
AFTERMATH: Final = {"reserve": [], "resolve": ["settle"], "settle": [], "emit": []}


@at_the_limit
@late_or_not
async def test_a_round_beyond_the_limit_of_its_one_go_is_begun_again_step_by_step(
    new_stage: Callable[[], Stage], late: bool
) -> None:
    async def slow(step: str) -> None:
        stage = new_stage()
        journey = one_go_failing_at(step, late=late)
        stage.set(Hangs(step=step, way=SHORT, late=late))
        ended = await stage.play()
        assert stage.attempts == list(journey.attempts)
        assert stage.world.effects == list(journey.effects)
        assert ended.closed == journey.closed
        assert ended.status is WorkflowExecutionStatus.COMPLETED

    await for_each_step(slow, ONE_GO)


@late_or_not
async def test_an_activity_beyond_the_limit_of_its_attempt_is_tried_again(
    new_stage: Callable[[], Stage], late: bool
) -> None:
    async def slow(step: str) -> None:
        stage = new_stage()
        journey = step_by_step_through(step, stage)
        stage.set(Hangs(step=step, way=PATIENT, late=late))
        ended = await stage.play()
        assert stage.attempts == journey.troubled(step, 1)
        assert stage.world.effects == list(journey.effects)
        assert ended.closed == journey.closed
        assert ended.status is WorkflowExecutionStatus.COMPLETED

    await for_each_step(slow)


@at_the_limit
async def test_a_one_go_whose_effect_comes_after_the_round_has_ended_changes_nothing_more(
    new_stage: Callable[[], Stage],
) -> None:
    async def much_too_slow(step: str) -> None:
        stage = new_stage()
        journey = one_go_failing_at(step, late=False)
        late = stage.set(Hangs(step=step, way=SHORT, deaf=True))
        async with stage.playing() as handle:
            ended = await stage.end(handle)
            late.go.set()
            await within(late.over)
        assert stage.attempts == [*journey.attempts, *AFTERMATH[step]]
        assert ended.closed == journey.closed
        assert stage.world.effects == list(journey.effects)
        stage.world.assert_whole()

    await for_each_step(much_too_slow, ONE_GO)


async def test_an_activity_whose_effect_comes_after_the_round_has_ended_changes_nothing_more(
    new_stage: Callable[[], Stage],
) -> None:
    async def much_too_slow(step: str) -> None:
        stage = new_stage()
        journey = step_by_step_through(step, stage)
        late = stage.set(Hangs(step=step, way=PATIENT, deaf=True))
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
async def test_a_one_go_that_comes_back_while_its_round_goes_step_by_step_doubles_nothing(
    new_stage: Callable[[], Stage], late: bool
) -> None:
    """Both play the round to its end then: each step may be taken by the one or by the other first."""

    async def both(slow: str, overtaken: str) -> None:
        stage = new_stage()
        one_go = stage.set(Hangs(step=slow, way=SHORT, deaf=True))
        activity = stage.set(Hangs(step=overtaken, way=PATIENT, late=late))
        async with stage.playing() as handle:
            await within(activity.reached)
            one_go.go.set()
            await within(one_go.over)
            activity.go.set()
            ended = await stage.end(handle)
        assert stage.world.effects == list(PAID.effects), (slow, overtaken)
        assert ended.closed == PAID.closed

    async with asyncio.TaskGroup() as group:
        for slow, overtaken in product(ONE_GO[:3], ONE_GO):
            group.create_task(both(slow, overtaken))


@at_the_limit
@pytest.mark.parametrize("slow", ["reserve", "resolve", "settle"])
@pytest.mark.parametrize("late", [False, True], ids=["before-the-release", "after-the-release"])
async def test_a_one_go_that_comes_back_while_its_round_is_voided_meets_the_first_terminal(
    stage: Stage, slow: str, late: bool
) -> None:
    one_go = stage.set(Hangs(step=slow, way=SHORT, deaf=True))
    stage.set(Refuses(step="resolve", way=PATIENT))
    release = stage.set(Hangs(step="release", way=PATIENT, late=late))
    async with stage.playing() as handle:
        await within(release.reached)
        one_go.go.set()
        await within(one_go.over)
        release.go.set()
        ended = await stage.end(handle)
    terminal = "release" if late else "settle"
    assert stage.world.effects == ["reserve", terminal, "emit"]
    assert ended.closed is not None
    assert ended.closed.state == ("void" if late else "settled")
    assert [attempt for attempt in stage.attempts if attempt in STEP_BY_STEP] == [
        "patient reserve",
        "patient resolve",
        "patient emit",
    ]
