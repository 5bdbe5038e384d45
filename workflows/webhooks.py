"""An operator's webhook: one workflow that sends the feed's events, and one for each event that was not
delivered."""

from typing import Final

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from contracts.webhooks import (
    ATTEMPT,
    DEAD_LETTER,
    DELIVERY_WORKFLOW,
    DISPATCH,
    TEST,
    TEST_WORKFLOW,
    WEBHOOK_WORKFLOW,
    AttemptResult,
    DeliveryOrder,
    DispatchResult,
    TestOrder,
    TestResult,
    WebhookKey,
)
from workflows import policies
from workflows.steps import take

# Turns of one run; then the workflow goes on as a new one, so that no history grows without end.
TURNS: Final = 50


@workflow.defn(name=WEBHOOK_WORKFLOW)
class WebhookWorkflow:
    """Guarantees that every event of the feed is sent, or recorded as failed, before a later turn begins
    behind it. Ends when the webhook is disabled or deleted."""

    @workflow.run
    async def run(self, key: WebhookKey) -> None:
        for _ in range(TURNS):
            if await take(DISPATCH, key, policies.DISPATCH) is DispatchResult.OVER:
                return
        workflow.continue_as_new(key)


@workflow.defn(name=DELIVERY_WORKFLOW)
class DeliveryWorkflow:
    """Guarantees that an event which failed is delivered, or recorded as dead, whatever the endpoint does."""

    @workflow.run
    async def run(self, order: DeliveryOrder) -> bool:
        """Returns whether the endpoint has taken it, from this workflow or another."""
        try:
            attempted = await take(ATTEMPT, order.delivery, policies.webhook_attempts(order.retries))
        except ActivityError as failure:
            if is_cancelled_exception(failure):
                raise
            await take(DEAD_LETTER, order.delivery, policies.DEAD_LETTER)
            return False
        return attempted is AttemptResult.DELIVERED


@workflow.defn(name=TEST_WORKFLOW)
class WebhookTestWorkflow:
    """Guarantees that a test is sent once at most, by a program that may reach endpoints."""

    @workflow.run
    async def run(self, order: TestOrder) -> TestResult:
        return await take(TEST, order, policies.TEST)
