"""Webhooks' workflows: the pauses of an event that is not taken, its end, and a sender that never grows
old."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from contracts.webhooks import AttemptResult, DispatchResult
from tests.workflow.stage import heard, within
from tests.workflow.webhook_stage import RETRIES, WebhookStage
from workflows.webhooks import TURNS

NewStage = Callable[[], WebhookStage]


@pytest.fixture
def webhook_stage(skipping: Client) -> WebhookStage:
    return WebhookStage(skipping, uuid4().hex[:8])


async def test_an_event_is_sent_again_with_pauses_that_double(webhook_stage: WebhookStage) -> None:
    webhook_stage.steps.failures = 13
    ended = await webhook_stage.deliver()
    assert ended.result is True
    webhook_stage.steps.check_pauses([5 * 2**n for n in range(10)] + [3600] * 3)
    assert webhook_stage.steps.dead_lettered == 0


async def test_days_of_pauses_cost_no_history(webhook_stage: WebhookStage) -> None:
    webhook_stage.steps.failures = 60
    ended = await webhook_stage.deliver()
    assert len(webhook_stage.steps.at) == 61
    # The server of these tests adds an event for each pause that it skips, which workers pass over.
    assert sum(not event.worker_may_ignore for event in ended.history.events) == 11


async def test_an_event_that_is_never_taken_is_dead_after_three_days(webhook_stage: WebhookStage) -> None:
    webhook_stage.steps.failures = None
    ended = await webhook_stage.deliver()
    assert ended.result is False
    assert ended.status is WorkflowExecutionStatus.COMPLETED
    assert webhook_stage.steps.dead_lettered == 1
    tried_for = webhook_stage.steps.at[-1] - webhook_stage.steps.at[0]
    assert RETRIES.patience_s - RETRIES.longest_s <= tried_for.total_seconds() <= RETRIES.patience_s


async def test_a_burial_whose_answer_is_lost_is_put_again(webhook_stage: WebhookStage) -> None:
    webhook_stage.steps.failures, webhook_stage.steps.lost_dead_letters = None, 3
    ended = await webhook_stage.deliver()
    assert ended.result is False
    assert webhook_stage.steps.dead_lettered == 4


async def test_an_event_that_is_over_is_left_alone(webhook_stage: WebhookStage) -> None:
    webhook_stage.steps.attempted = AttemptResult.OVER
    ended = await webhook_stage.deliver()
    assert ended.result is False
    assert webhook_stage.steps.dead_lettered == 0


async def test_a_cancelled_delivery_buries_nothing(webhook_stage: WebhookStage) -> None:
    webhook_stage.steps.hangs = True
    async with webhook_stage.working():
        handle = await webhook_stage.start_delivery()
        await within(webhook_stage.steps.reached)
        await handle.cancel()
        await heard(handle)
        ended = await webhook_stage.end(handle)
    assert ended.status is WorkflowExecutionStatus.CANCELED
    assert webhook_stage.steps.dead_lettered == 0


async def test_sending_goes_on_turn_after_turn_until_it_is_over(webhook_stage: WebhookStage) -> None:
    webhook_stage.steps.turns = [DispatchResult.GO_ON] * 3
    ended = await webhook_stage.send()
    assert ended.status is WorkflowExecutionStatus.COMPLETED
    assert webhook_stage.steps.dispatched == 4


async def test_an_endpoint_that_is_down_as_a_whole_is_left_alone_for_longer_and_longer(
    webhook_stage: WebhookStage,
) -> None:
    webhook_stage.steps.turns = [*[None] * 8, DispatchResult.GO_ON, None]
    await webhook_stage.send()
    webhook_stage.steps.check_pauses([2, 4, 8, 16, 32, 60, 60, 60, 0, 2])


async def test_the_sender_goes_on_as_a_new_run_before_its_history_grows_old(
    webhook_stage: WebhookStage,
) -> None:
    webhook_stage.steps.turns = [DispatchResult.GO_ON] * (TURNS + 2)
    ended = await webhook_stage.send()
    assert webhook_stage.steps.dispatched == TURNS + 3
    assert len(ended.histories) == 2
    assert max(len(history.events) for history in ended.histories) < 8 * TURNS


async def test_a_test_is_sent_once_whatever_comes_of_it(webhook_stage: WebhookStage) -> None:
    ended = await webhook_stage.test()
    assert (ended.result.error, len(webhook_stage.steps.at)) == ("status-503: down", 1)


async def test_a_test_that_cannot_be_sent_is_not_tried_again(webhook_stage: WebhookStage) -> None:
    webhook_stage.steps.failures = None
    ended = await webhook_stage.test()
    assert ended.status is WorkflowExecutionStatus.FAILED
    assert len(webhook_stage.steps.at) == 1
