"""The client of webhooks' workflows: sending, and retrying one event."""

from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from contracts.webhooks import (
    DELIVERY_WORKFLOW,
    WEBHOOK_QUEUE,
    WEBHOOK_WORKFLOW,
    Delivery,
    DeliveryOrder,
    Retries,
    WebhookKey,
)

RPC_LIMIT: Final = timedelta(seconds=10)


class WebhookWorkflows:
    """Starts the workflows of webhooks. Raises temporalio's RPCError while Temporal does not answer."""

    def __init__(self, client: Client, retries: Retries) -> None:
        self._client = client
        self._retries = retries

    async def send(self, key: WebhookKey) -> None:
        """Starts the webhook's workflow, unless one runs."""
        await self._client.start_workflow(
            WEBHOOK_WORKFLOW,
            key,
            id=key.workflow_id,
            task_queue=WEBHOOK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            rpc_timeout=RPC_LIMIT,
        )

    async def deliver(self, delivery: Delivery) -> None:
        """Begins to retry the event; it was begun before when the process that did so died before it said
        so."""
        try:
            await self._client.start_workflow(
                DELIVERY_WORKFLOW,
                DeliveryOrder(delivery=delivery, retries=self._retries),
                id=delivery.workflow_id,
                task_queue=WEBHOOK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                rpc_timeout=RPC_LIMIT,
            )
        except WorkflowAlreadyStartedError:
            return
