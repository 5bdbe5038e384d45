"""A round worker in a process of its own, which dies as by kill -9 in the middle of one step.

It keeps its world and its faults in a file, written with every change, so that what it did before it
died is known.
"""

import asyncio
import pickle
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from tests.support.deadlocks import only_hangs_are_deadlocks
from tests.support.temporal import PLAIN
from tests.workflow.fake_steps import FakeSteps
from tests.workflow.faults import Fault
from tests.workflow.limits import GENEROUS
from tests.workflow.stage import SANDBOX, SHORT_STICKY_TIMEOUT
from tests.workflow.world import World
from workflows import policies
from workflows.round import RoundWorkflow


@dataclass(frozen=True, kw_only=True)
class Legacy:
    """What a worker leaves behind when it dies."""

    world: World
    faults: list[Fault]

    def store(self, path: Path) -> None:
        new = path.with_suffix(".new")
        new.write_bytes(pickle.dumps(self))
        new.replace(path)

    @staticmethod
    def load(path: Path) -> "Legacy":
        legacy = pickle.loads(path.read_bytes())  # noqa: S301 - the test that reads it had it written
        assert isinstance(legacy, Legacy)
        return legacy


async def main(address: str, task_queue: str, path: Path) -> None:
    only_hangs_are_deadlocks()
    policies.FAST_PATH_LIMIT = GENEROUS  # type: ignore[misc]  # as in the tests' own process
    legacy = Legacy.load(path)
    steps = FakeSteps(legacy.world, legacy.faults, changed=lambda: legacy.store(path))
    client = await Client.connect(address, data_converter=PLAIN)
    await Worker(
        client,
        task_queue=task_queue,
        workflows=[RoundWorkflow],
        activities=steps.activities,
        workflow_runner=SANDBOX,
        sticky_queue_schedule_to_start_timeout=SHORT_STICKY_TIMEOUT,
    ).run()


def run(address: str, task_queue: str, path: Path) -> None:
    asyncio.run(main(address, task_queue, path))
