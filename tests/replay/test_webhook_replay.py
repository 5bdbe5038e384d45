"""Webhooks that an earlier version served go on with this one: every recorded history replays."""

from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from contracts.webhooks import (
    ATTEMPT,
    DEAD_LETTER,
    DELIVERY_WORKFLOW,
    DISPATCH,
    WEBHOOK_WORKFLOW,
    DeliveryOrder,
    WebhookKey,
)
from tests.replay.explained import explained
from tests.replay.webhook_paths import HISTORIES, PATHS, WHAT_TO_DO, commands, recorded
from tests.support.temporal import PLAIN
from tests.workflow.webhook_stage import WebhookStage
from workflows import policies
from workflows.steps import take
from workflows.webhooks import DeliveryWorkflow, WebhookTestWorkflow, WebhookWorkflow

WORKFLOWS = [WebhookWorkflow, DeliveryWorkflow, WebhookTestWorkflow]
RECORDED = sorted(file.stem for file in HISTORIES.glob("*.json"))


@pytest.mark.parametrize("name", RECORDED)
async def test_a_recorded_history_replays(name: str) -> None:
    """As in production. What is played for the next test is replayed in the sandbox."""
    with explained(WHAT_TO_DO, name):
        await _replayer(*WORKFLOWS).replay_workflow(recorded(name))


@pytest.mark.parametrize("name", PATHS)
async def test_a_path_still_asks_for_the_commands_it_was_recorded_with(name: str, skipping: Client) -> None:
    """Sees also what a replay does not: a path that leaves the recorded one or goes on beyond it."""
    with explained(WHAT_TO_DO, name):
        ended = await PATHS[name](WebhookStage(skipping, uuid4().hex[:8]))
        assert commands(ended.history) == commands(recorded(name))


def test_every_path_is_recorded_and_every_recording_belongs_to_a_path() -> None:
    assert {name.split(".")[0] for name in RECORDED} == set(PATHS)


@workflow.defn(name=WEBHOOK_WORKFLOW)
class NeverGoesOn(WebhookWorkflow):
    @workflow.run
    async def run(self, key: WebhookKey) -> None:
        await take(DISPATCH, key, policies.DISPATCH)


@workflow.defn(name=DELIVERY_WORKFLOW)
class BuriesFirst(DeliveryWorkflow):
    @workflow.run
    async def run(self, order: DeliveryOrder) -> bool:
        await take(DEAD_LETTER, order.delivery, policies.DEAD_LETTER)
        return await super().run(order)


@workflow.defn(name=DELIVERY_WORKFLOW)
class NeverBuries(DeliveryWorkflow):
    @workflow.run
    async def run(self, order: DeliveryOrder) -> bool:
        try:
            await take(ATTEMPT, order.delivery, policies.webhook_attempts(order.retries))
        finally:
            return False  # noqa: B012 - somebody might


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        (NeverGoesOn, "sent_until_it_was_over"),
        (NeverGoesOn, "sent_and_gone_on_as_a_new_run"),
        (BuriesFirst, "delivered"),
        (NeverBuries, "dead"),
    ],
)
async def test_a_history_does_not_replay_on_a_workflow_that_was_changed(
    changed: type[Any], name: str
) -> None:
    with pytest.raises(NondeterminismError):
        await _replayer(changed).replay_workflow(recorded(name))


def _replayer(*workflows: type[Any]) -> Replayer:
    return Replayer(workflows=workflows, workflow_runner=UnsandboxedWorkflowRunner(), data_converter=PLAIN)
