"""Workflows of a running namespace, replayed with this code: whether each would go on with it."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from temporalio.client import Client, WorkflowExecution, WorkflowHistory
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from contracts.failures import error_line
from contracts.reconciliation import RECONCILE_QUEUE, RECONCILE_WORKFLOW
from contracts.steps import ROUND_WORKFLOW
from contracts.webhooks import (
    DELIVERY_WORKFLOW,
    TEST_WORKFLOW,
    WEBHOOK_QUEUE,
    WEBHOOK_TEST_QUEUE,
    WEBHOOK_WORKFLOW,
)
from workflows.reconcile import ReconcileWorkflow
from workflows.round import RoundWorkflow
from workflows.webhooks import DeliveryWorkflow, WebhookTestWorkflow, WebhookWorkflow

WORKFLOWS: Final[Mapping[str, type[Any]]] = {
    ROUND_WORKFLOW: RoundWorkflow,
    WEBHOOK_WORKFLOW: WebhookWorkflow,
    DELIVERY_WORKFLOW: DeliveryWorkflow,
    TEST_WORKFLOW: WebhookTestWorkflow,
    RECONCILE_WORKFLOW: ReconcileWorkflow,
}
OTHER_QUEUES: Final = (WEBHOOK_QUEUE, WEBHOOK_TEST_QUEUE, RECONCILE_QUEUE)
PAGE: Final = 200
OPEN: Final = 'ExecutionStatus = "Running"'

Advance = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A workflow that this code cannot take on, and why, in one line."""

    workflow_id: str
    run_id: str
    workflow_type: str
    is_open: bool
    reason: str


@dataclass(slots=True)
class Replays:
    """How many open and closed workflows of each type were replayed, and those that failed. `gone` counts
    those that Temporal forgot between the list and the reading."""

    open: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    gone: int = 0
    failures: list[Failure] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        failures = [asdict(failure) for failure in self.failures]
        return {"open": dict(self.open), "closed": dict(self.closed), "gone": self.gone, "failures": failures}


async def replay(
    client: Client,
    task_queue: str,
    *,
    closed: int,
    workflows: Mapping[str, type[Any]] = WORKFLOWS,
    advance: Advance = lambda: None,
) -> Replays:
    """All open workflows of our task queues, and of each type the last `closed` that have ended. `task_queue`
    is that of the rounds. Lists are read page by page, and one history is in memory at a time; `advance` is
    called after each. Raises RPCError."""
    reading = _Reading(client, {task_queue, *OTHER_QUEUES}, workflows, closed)
    replayer = Replayer(
        workflows=list(workflows.values()),
        workflow_runner=UnsandboxedWorkflowRunner(),
        data_converter=client.data_converter,
        runtime=Runtime(telemetry=TelemetryConfig(logging=None)),  # the reasons are in what is returned
        debug_mode=True,  # as in production: a busy machine is no dead workflow
    )
    async with replayer.workflow_replay_iterator(reading.histories()) as results:
        async for result in results:
            reading.note(result.replay_failure)
            advance()
    return reading.found


class _Reading:
    """The executions one after another, and what was found so far."""

    def __init__(
        self, client: Client, queues: set[str], workflows: Mapping[str, type[Any]], closed: int
    ) -> None:
        self._client, self._queues, self._workflows, self._closed = client, queues, workflows, closed
        self._current: WorkflowExecution | None = None
        self.found = Replays()

    async def histories(self) -> AsyncIterator[WorkflowHistory]:
        async for execution in self._executions():
            self._current = execution
            if execution.workflow_type not in self._workflows:
                self.note(RuntimeError("this code has no workflow of this type"))
            elif (history := await self._history(execution)) is not None:
                yield history

    async def _executions(self) -> AsyncIterator[WorkflowExecution]:
        # A namespace may have workflows of another installation, with keys and code of its own.
        ours = " OR ".join(f'TaskQueue = "{queue}"' for queue in sorted(self._queues))
        async for execution in self._client.list_workflows(f"{OPEN} AND ({ours})", page_size=PAGE):
            yield execution
        for name in self._workflows if self._closed else ():
            query = f'WorkflowType = "{name}" AND ExecutionStatus != "Running" AND ({ours})'
            async for execution in self._client.list_workflows(query, page_size=PAGE, limit=self._closed):
                yield execution

    async def _history(self, execution: WorkflowExecution) -> WorkflowHistory | None:
        handle = self._client.get_workflow_handle(execution.id, run_id=execution.run_id)
        try:
            return await handle.fetch_history()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            self.found.gone += 1
            return None

    def note(self, failure: Exception | None) -> None:
        """How the current execution's replay ended."""
        execution = self._current
        assert execution is not None, "a history comes first"
        counted = self.found.open if execution.close_time is None else self.found.closed
        counted[execution.workflow_type] += 1
        if failure is not None:
            reason = error_line(failure)
            is_open = execution.close_time is None
            self.found.failures.append(
                Failure(
                    workflow_id=execution.id,
                    run_id=execution.run_id,
                    workflow_type=execution.workflow_type,
                    is_open=is_open,
                    reason=reason,
                )
            )
