"""A run of reconciliation that an earlier version began goes on; and every workflow has recordings."""

from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from contracts.reconciliation import RECONCILE_WORKFLOW, STEPS, Reconciled
from tests.replay import fingerprints, webhook_paths
from tests.replay.explained import explained
from tests.replay.reconcile_paths import HISTORIES, PATHS, WHAT_TO_DO, recorded, run
from tests.support.temporal import PLAIN
from verification.replays import WORKFLOWS
from workflows.reconcile import ReconcileWorkflow

RECORDED = sorted(file.stem for file in HISTORIES.glob("*.json"))


@pytest.mark.parametrize("name", RECORDED)
async def test_a_recorded_history_replays(name: str) -> None:
    with explained(WHAT_TO_DO, name):
        await _replayer(ReconcileWorkflow).replay_workflow(recorded(name))


@pytest.mark.parametrize("name", PATHS)
async def test_a_path_still_asks_for_the_commands_it_was_recorded_with(name: str, steady: Client) -> None:
    with explained(WHAT_TO_DO, name):
        history = await run(steady, name, uuid4().hex[:8])
        assert fingerprints.commands(history) == fingerprints.commands(recorded(name))


def test_every_path_is_recorded_and_every_recording_belongs_to_a_path() -> None:
    assert {name.split(".")[0] for name in RECORDED} == set(PATHS)


def test_every_type_of_workflow_has_recordings() -> None:
    folders = (HISTORIES, fingerprints.HISTORIES, webhook_paths.HISTORIES)
    of_types = {_type(file.read_text()) for folder in folders for file in folder.glob("*.json")}
    assert of_types == set(WORKFLOWS)


def _type(text: str) -> str:
    first = WorkflowHistory.from_json("recorded", text).events[0]
    return first.workflow_execution_started_event_attributes.workflow_type.name


@workflow.defn(name=RECONCILE_WORKFLOW)
class ChecksTheOtherWayRound(ReconcileWorkflow):
    @workflow.run
    async def run(self) -> Reconciled:
        total = Reconciled()
        for step in reversed(STEPS):
            total = await self._run_step(step, total)
        return total


@pytest.mark.parametrize("name", PATHS)
async def test_a_history_does_not_replay_on_a_workflow_that_was_changed(name: str) -> None:
    with pytest.raises(NondeterminismError):
        await _replayer(ChecksTheOtherWayRound).replay_workflow(recorded(name))


def _replayer(changed: type[Any]) -> Replayer:
    return Replayer(workflows=[changed], workflow_runner=UnsandboxedWorkflowRunner(), data_converter=PLAIN)
