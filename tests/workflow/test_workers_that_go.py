"""RoundWorkflow when its worker goes in the middle of a step: another one brings the round to its end."""

import asyncio
import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from runtime.temporal import certain_to_end
from tests.support.conditions import HANG_S, until
from tests.workflow import doomed_worker
from tests.workflow.doomed_worker import Legacy
from tests.workflow.faults import DURABLE, FAST, Breaks, Hangs, Kills
from tests.workflow.journeys import (
    FAST_PATH,
    PAID,
    STEPS,
    Journey,
    durable_path_through,
    fast_path_failing_at,
    for_each_step,
)
from tests.workflow.limits import at_the_limit, attempts_run_out
from tests.workflow.stage import SHORT_STICKY_TIMEOUT, SHORT_TASK_TIMEOUT, Ended, Stage, within
from workflows.round import RoundWorkflow

# Workers are forked from a process that has imported what they need: a second of processor time for each.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([doomed_worker.__name__])


@pytest.fixture
def new_stage(new_stage: Callable[[], Stage]) -> Callable[[], Stage]:
    def impatient() -> Stage:
        stage = new_stage()
        stage.sticky_timeout = SHORT_STICKY_TIMEOUT
        return stage

    return impatient


@pytest.mark.parametrize("late", [False, True], ids=["before-its-effect", "after-its-effect"])
async def test_a_worker_killed_in_the_fast_path_is_replaced_and_nothing_is_done_twice(
    new_stage: Callable[[], Stage], tmp_path: Path, late: bool
) -> None:
    async def killed(step: str) -> None:
        stage = new_stage()
        stage.task_timeout = SHORT_TASK_TIMEOUT
        handle = await stage.start(eager=False)
        await _kill(stage, Kills(step=step, way=FAST, late=late), tmp_path / step)
        closed = any(round_.state.final for round_ in stage.world.rounds.values())
        async with stage.worker():
            ended = await stage.end(handle)
        assert "workflow_task_timed_out" in ended.event_types
        # Nothing was recorded yet, so the fast path is taken again; its reserve knows how far things were.
        assert stage.attempts == (["reserve", "durable emit"] if closed else list(FAST_PATH))
        _assert_ended(stage, ended, PAID)

    await for_each_step(killed, FAST_PATH)


@attempts_run_out
async def test_a_worker_killed_in_an_activity_is_replaced_and_nothing_is_done_twice(
    new_stage: Callable[[], Stage], tmp_path: Path
) -> None:
    async def killed(step: str) -> None:
        stage = new_stage()
        journey = durable_path_through(step, stage)
        stage.task_timeout = SHORT_TASK_TIMEOUT
        handle = await stage.start(eager=False)
        await _kill(stage, Kills(step=step, way=DURABLE, late=True), tmp_path / step)
        async with stage.worker():
            ended = await stage.end(handle)
        # What the dead one had recorded is not taken again; the step is, when its attempt has timed out.
        assert stage.attempts == [f"durable {step}", *journey.after(step)]
        _assert_ended(stage, ended, journey)

    await for_each_step(killed)


@at_the_limit
async def test_a_worker_stopped_in_the_fast_path_is_replaced_and_nothing_is_done_twice(
    new_stage: Callable[[], Stage],
) -> None:
    async def stopped(step: str) -> None:
        stage = new_stage()
        hangs = stage.set(Hangs(step=step, way=FAST))
        async with stage.worker():
            handle = await stage.start()
            await within(hangs.reached)
        async with stage.worker():
            ended = await stage.end(handle)
        # A worker that stops lets the fast path run to its limit, and cancels nothing.
        journey = fast_path_failing_at(step, late=False)
        assert stage.attempts == list(journey.attempts)
        _assert_ended(stage, ended, journey)

    await for_each_step(stopped, FAST_PATH)


@attempts_run_out
async def test_a_worker_stopped_in_an_activity_is_replaced_and_nothing_is_done_twice(
    new_stage: Callable[[], Stage],
) -> None:
    async def stopped(step: str) -> None:
        stage = new_stage()
        journey = durable_path_through(step, stage)
        hangs = stage.set(Hangs(step=step, way=DURABLE))
        async with stage.worker():
            handle = await stage.start()
            await within(hangs.reached)
        async with stage.worker():
            ended = await stage.end(handle)
        assert stage.attempts == journey.troubled(step, 1)
        _assert_ended(stage, ended, journey)

    await for_each_step(stopped)


@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_that_remembers_no_round_between_its_tasks_plays_it_all_the_same(
    stage: Stage, step: str
) -> None:
    journey = durable_path_through(step, stage)
    stage.set(Breaks(step=step, way=DURABLE, times=2))
    async with stage.worker(cached_workflows=0):
        ended = await stage.end(await stage.start())
    _assert_ended(stage, ended, journey)


async def _kill(stage: Stage, fault: Kills, path: Path) -> None:
    """Runs a worker of its own process until `fault` kills it, and takes over what it leaves behind."""
    stage.set(fault)
    Legacy(world=stage.world, faults=stage.faults).store(path)
    address = stage.client.service_client.config.target_host
    process = PROCESSES.Process(target=doomed_worker.run, args=(address, stage.task_queue, path), daemon=True)
    process.start()

    async def ended() -> bool:
        return not process.is_alive()

    await until(ended)
    assert process.exitcode == -signal.SIGKILL
    legacy = Legacy.load(path)
    stage.inherit(legacy.world, legacy.faults)


def _assert_ended(stage: Stage, ended: Ended, journey: Journey) -> None:
    assert stage.world.effects == list(journey.effects)
    assert ended.closed == journey.closed
    assert ended.status is WorkflowExecutionStatus.COMPLETED


async def test_a_worker_ends_though_the_sdk_never_does(skipping: Client) -> None:
    worker = Worker(
        skipping,
        task_queue=uuid4().hex,
        workflows=[RoundWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    asked_to_end = asyncio.Event()

    async def never() -> None:
        asked_to_end.set()
        await asyncio.Event().wait()

    worker._bridge_worker.finalize_shutdown = never  # type: ignore[method-assign]
    async with asyncio.timeout(HANG_S), certain_to_end(worker, last_step_s=0.1):
        pass
    assert asked_to_end.is_set()
