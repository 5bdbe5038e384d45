"""Rounds as Temporal knows them: how a workflow stands, which ones ended badly, and starting one anew."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from contracts.reconciliation import WorkflowState
from contracts.rounds import Bet
from contracts.steps import ROUND_TASK_TIMEOUT, ROUND_WORKFLOW

RPC_LIMIT: Final = timedelta(seconds=10)
LIST_PAGE: Final = 100

_STATES: Final = {
    WorkflowExecutionStatus.RUNNING: WorkflowState.RUNNING,
    WorkflowExecutionStatus.CONTINUED_AS_NEW: WorkflowState.RUNNING,
    WorkflowExecutionStatus.COMPLETED: WorkflowState.COMPLETED,
    WorkflowExecutionStatus.CANCELED: WorkflowState.CANCELED,
    WorkflowExecutionStatus.FAILED: WorkflowState.FAILED,
    WorkflowExecutionStatus.TERMINATED: WorkflowState.TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT: WorkflowState.TIMED_OUT,
}
# A cancelled round is void, or went on to its end; the ledger tells which.
_ENDED_BADLY: Final = '("Failed", "Terminated", "TimedOut", "Canceled")'


class RoundWorkflows:
    """Raises temporalio's RPCError while Temporal does not answer."""

    def __init__(self, client: Client, *, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def state(self, workflow_id: str) -> WorkflowState:
        """Of the latest workflow of this id."""
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            status = (await handle.describe(rpc_timeout=RPC_LIMIT)).status
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return WorkflowState.FORGOTTEN
            raise
        return WorkflowState.RUNNING if status is None else _STATES[status]

    async def start_anew(self, bet: Bet) -> bool:
        """Starts the round's workflow though one of its id has ended. False when one runs: a healthy round is
        never started twice, and one that is done answers each step from what it stored."""
        try:
            await self._client.start_workflow(
                ROUND_WORKFLOW,
                bet,
                id=bet.key.workflow_id,
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                task_timeout=ROUND_TASK_TIMEOUT,
                rpc_timeout=RPC_LIMIT,
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def ended_badly(
        self, *, since: datetime, until: datetime, cursor: str | None
    ) -> tuple[list[str], str | None]:
        """A page of ids of rounds' workflows that ended between the two moments and did not complete, and
        the cursor of the next page."""
        query = (
            f'WorkflowType = "{ROUND_WORKFLOW}" AND ExecutionStatus IN {_ENDED_BADLY}'
            f' AND CloseTime >= "{_rfc3339(since)}" AND CloseTime < "{_rfc3339(until)}"'
        )
        found = self._client.list_workflows(
            query,
            page_size=LIST_PAGE,
            next_page_token=None if cursor is None else base64.b64decode(cursor),
            rpc_timeout=RPC_LIMIT,
        )
        await found.fetch_next_page()
        following = found.next_page_token
        return (
            [execution.id for execution in found.current_page or ()],
            base64.b64encode(following).decode() if following else None,
        )


def _rfc3339(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
