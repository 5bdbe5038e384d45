"""RoundWorkflow when a step is slow: it leaves the short way, and nothing is done twice for that."""

from collections.abc import Callable

import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.workflow.faults import SHORT, Hangs
from tests.workflow.journeys import for_each_step, journey_through
from tests.workflow.stage import Stage, within


@pytest.mark.parametrize("late", [False, True], ids=["before-its-effect", "after-its-effect"])
async def test_a_step_beyond_the_short_limit_is_taken_again_on_the_patient_way(
    new_stage: Callable[[], Stage], late: bool
) -> None:
    async def slow(step: str) -> None:
        stage = new_stage()
        journey = journey_through(step, stage)
        stage.set(Hangs(step=step, way=SHORT, late=late))
        played = await stage.play()
        assert stage.attempts == journey.troubled(step, [step, f"patient {step}"])
        assert stage.world.effects == list(journey.effects)
        assert played.closed == journey.closed
        assert played.status is WorkflowExecutionStatus.COMPLETED

    await for_each_step(slow)


async def test_a_slow_step_whose_effect_comes_after_the_round_has_ended_changes_nothing_more(
    new_stage: Callable[[], Stage],
) -> None:
    async def much_too_slow(step: str) -> None:
        stage = new_stage()
        journey = journey_through(step, stage)
        late = stage.set(Hangs(step=step, way=SHORT, deaf=True))
        async with stage.playing() as handle:
            played = await stage.end(handle)
            late.go.set()
            await within(late.over)
        assert played.closed == journey.closed
        assert stage.world.effects == list(journey.effects)
        stage.world.assert_whole()

    await for_each_step(much_too_slow)
