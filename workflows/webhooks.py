"""An operator's webhook: one workflow that sends what the feed has, and one for each event that did not get
there."""

from typing import Final

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from contracts.webhooks import (
    ATTEMPT,
    BURY,
    DELIVERY_WORKFLOW,
    PUMP,
    WEBHOOK_WORKFLOW,
    Attempted,
    DeliveryOrder,
    Pumped,
    WebhookKey,
)
from workflows import policies
from workflows.steps import take

# Turns of one run; then the workflow goes on as a new one, so that no history grows without end.
TURNS: Final = 50


@workflow.defn(name=WEBHOOK_WORKFLOW)
class WebhookWorkflow:
    """Guarantees that every event of the feed is sent, or written down as one that failed, before a later
    turn begins behind it. Ends when the webhook is disabled or deleted."""

    @workflow.run
    async def run(self, key: WebhookKey) -> None:
        for _ in range(TURNS):
            if await take(PUMP, key, policies.PUMP) is Pumped.OVER:
                return
        workflow.continue_as_new(key)


@workflow.defn(name=DELIVERY_WORKFLOW)
class DeliveryWorkflow:
    """Guarantees that an event which failed is delivered, or dead and on record, whatever the endpoint
    does."""

    @workflow.run
    async def run(self, order: DeliveryOrder) -> bool:
        """Whether the endpoint has taken it, from this workflow or another."""
        try:
            attempted = await take(ATTEMPT, order.delivery, policies.webhook_attempts(order.retries))
        except ActivityError as failure:
            if is_cancelled_exception(failure):
                raise
            await take(BURY, order.delivery, policies.BURY)
            return False
        return attempted is Attempted.DELIVERED
