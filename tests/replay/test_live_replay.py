"""`croupier replay --live`: workflows of a running namespace against this code, and against a changed one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

import workflows
from contracts.choices import Abandonment
from contracts.steps import ROUND_WORKFLOW
from security.keyring import Keyring
from security.payload_codec import data_converter
from tests.replay.changed import SkipsTheFastPath
from tests.support.conditions import until
from tests.support.temporal import IDENTITY, temporal_server
from tests.workflow.choices import offer, waits
from tests.workflow.stage import PATIENCE_S, Stage
from verification import replays
from verification.replays import WORKFLOWS

CLOSED = 3


@pytest.fixture(scope="module")
async def temporal_environment() -> AsyncIterator[WorkflowEnvironment]:
    """A server with nothing else in it: all of its namespace is replayed."""
    async with temporal_server() as environment:
        yield environment


@dataclass(frozen=True, slots=True)
class Casino:
    """Rounds that have been played, and one that waits for its player and for a worker."""

    client: Client
    task_queue: str
    open_id: str


@pytest.fixture(scope="module")
async def casino(temporal_environment: WorkflowEnvironment) -> Casino:
    client = await sealed(temporal_environment, Keyring.generate())
    task_queue = uuid4().hex[:8]
    for _ in range(CLOSED):
        await played(Stage(client, uuid4().hex[:8]), task_queue)
    await played(Stage(client, uuid4().hex[:8]), "another-installation")
    stage = Stage(client, uuid4().hex[:8])
    stage.task_queue = task_queue
    stage.world.offers = [offer(Abandonment.HOLD)]
    async with stage.worker():
        handle = await stage.start()
        await waits(stage, handle)
    await client.start_workflow("OfAnEarlierRelease", id="old", task_queue=stage.task_queue)

    async def listed() -> bool:
        counts = [
            await client.count_workflows(f'ExecutionStatus = "{how}"') for how in ("Completed", "Running")
        ]
        return [count.count for count in counts] == [CLOSED + 1, 2]

    await until(listed)
    return Casino(client, stage.task_queue, handle.id)


async def played(stage: Stage, task_queue: str) -> None:
    stage.task_queue = task_queue
    async with stage.worker(), asyncio.timeout(PATIENCE_S):
        await (await stage.start()).result()


async def sealed(environment: WorkflowEnvironment, keyring: Keyring) -> Client:
    return await environment.connect_client(identity=IDENTITY, data_converter=data_converter(keyring))


async def test_what_runs_goes_on_with_this_code_but_for_a_type_that_it_does_not_have(casino: Casino) -> None:
    seen = []
    found = await replays.replay(casino.client, casino.task_queue, closed=10, advance=lambda: seen.append(1))
    assert found.closed == Counter({ROUND_WORKFLOW: CLOSED})
    assert found.open == Counter({ROUND_WORKFLOW: 1, "OfAnEarlierRelease": 1})
    assert len(seen) == CLOSED + 1
    assert [(failure.workflow_id, failure.is_open) for failure in found.failures] == [("old", True)]
    assert "no workflow of this type" in found.failures[0].reason


async def test_only_the_last_closed_ones_of_each_type_are_replayed(casino: Casino) -> None:
    found = await replays.replay(casino.client, casino.task_queue, closed=2)
    assert found.closed == Counter({ROUND_WORKFLOW: 2})
    assert (await replays.replay(casino.client, casino.task_queue, closed=0)).closed == Counter()


async def test_workflows_of_others_are_left_out(casino: Casino) -> None:
    """Of another installation in the namespace, with keys and code of its own."""
    found = await replays.replay(casino.client, "nobodys", closed=10)
    assert found == replays.Replays()


async def test_a_changed_workflow_names_each_history_that_would_not_go_on(casino: Casino) -> None:
    found = await _replayed(casino, SkipsTheFastPath)
    found.failures = [one for one in found.failures if one.workflow_type == ROUND_WORKFLOW]
    assert len(found.failures) == CLOSED + 1
    assert {failure.is_open for failure in found.failures} == {True, False}
    assert all("ondeterminism" in failure.reason for failure in found.failures)
    assert casino.open_id in {failure.workflow_id for failure in found.failures}


async def test_another_keyring_opens_nothing(
    casino: Casino, temporal_environment: WorkflowEnvironment
) -> None:
    client = await sealed(temporal_environment, Keyring.generate())
    found = await replays.replay(client, casino.task_queue, closed=1)
    assert [failure.workflow_type for failure in found.failures].count(ROUND_WORKFLOW) == 2


async def _replayed(casino: Casino, changed: type[Any]) -> replays.Replays:
    code = {**WORKFLOWS, ROUND_WORKFLOW: changed}
    return await replays.replay(casino.client, casino.task_queue, closed=10, workflows=code)


def test_every_workflow_of_ours_is_replayed() -> None:
    """A type that is not in the table would be left out without a word."""
    modules = [import_module(f"workflows.{found.name}") for found in iter_modules(workflows.__path__)]
    defined = {
        member: member.__temporal_workflow_definition.name
        for module in modules
        for member in vars(module).values()
        if isinstance(member, type) and hasattr(member, "__temporal_workflow_definition")
    }
    assert defined == {member: name for name, member in WORKFLOWS.items()}
