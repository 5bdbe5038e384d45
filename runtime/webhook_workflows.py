"""The client of webhooks' workflows: sending, retrying one event, and sending a test."""

from datetime import timedelta
from typing import Final

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from contracts.webhooks import (
    DELIVERY_WORKFLOW,
    TEST_WORKFLOW,
    WEBHOOK_QUEUE,
    WEBHOOK_TEST_QUEUE,
    WEBHOOK_WORKFLOW,
    Delivery,
    DeliveryOrder,
    Retries,
    TestOrder,
    TestResult,
    WebhookKey,
)

RPC_LIMIT: Final = timedelta(seconds=10)
# Longer than an endpoint may take, and shorter than who asks would wait.
TEST_LIMIT: Final = timedelta(seconds=12)


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


class NobodySent(Exception):
    """No answer came: nobody sends webhooks now, or Temporal does not answer."""


class WebhookTests:
    """Has a test sent by the program that sends webhooks, for the ingress reaches no endpoint itself."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def send(self, order: TestOrder) -> TestResult:
        """Raises NobodySent within TEST_LIMIT; it may then still be sent, until that is over."""
        try:
            result: TestResult = await self._client.execute_workflow(
                TEST_WORKFLOW,
                order,
                id=order.workflow_id,
                task_queue=WEBHOOK_TEST_QUEUE,
                result_type=TestResult,
                execution_timeout=TEST_LIMIT,
                rpc_timeout=TEST_LIMIT,
            )
        except (RPCError, WorkflowFailureError):
            raise NobodySent from None
        return result
