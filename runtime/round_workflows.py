"""The one client of rounds' workflows: starts them, awaits their ends, puts updates to them, lists them."""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from contracts.actions import ActionVerdict, ActResult, PlayerAction
from contracts.failures import ACTION_REFUSED, GAME_ERROR, bounded
from contracts.interventions import Intervention, InterventionResult
from contracts.reconciliation import WorkflowState, round_key
from contracts.rounds import Bet, RoundClosed, RoundKey
from contracts.steps import ACT_UPDATE, INTERVENE_UPDATE, ROUND_TASK_TIMEOUT, ROUND_WORKFLOW
from runtime.round_start import RoundStart
from runtime.unavailable import Cause

T = TypeVar("T")

START_TIMEOUT: Final = timedelta(seconds=5)
RPC_LIMIT: Final = timedelta(seconds=10)
# A round's fast path may hold an update back for 2 s; then a busy database has some time to answer.
INTERVENE_LIMIT: Final = timedelta(seconds=10)
LIST_PAGE: Final = 100
# Somebody waits for what Temporal knows of one round.
LOOK_LIMIT: Final = timedelta(seconds=5)
LIST_LIMIT: Final = 1_000

_STATES: Final = {
    WorkflowExecutionStatus.RUNNING: WorkflowState.RUNNING,
    WorkflowExecutionStatus.CONTINUED_AS_NEW: WorkflowState.RUNNING,
    WorkflowExecutionStatus.COMPLETED: WorkflowState.COMPLETED,
    WorkflowExecutionStatus.CANCELED: WorkflowState.CANCELED,
    WorkflowExecutionStatus.FAILED: WorkflowState.FAILED,
    WorkflowExecutionStatus.TERMINATED: WorkflowState.TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT: WorkflowState.TIMED_OUT,
}
# A cancelled round is void, or went on to its end; the ledger has which.
_ENDED_BADLY: Final = '("Failed", "Terminated", "TimedOut", "Canceled")'
_UNFINISHED: Final = '("Running", "Failed", "Terminated", "TimedOut", "Canceled")'


class AlreadyStarted(Exception):
    """There is a workflow of this round, open or ended: a round is never played twice."""


class OutcomeUncertain(Exception):
    """Temporal, a worker or the ledger did not answer in time. The call may still take effect; the stored
    round says so."""

    def __init__(self, why: str, cause: Cause = Cause.UNANSWERED) -> None:
        super().__init__(why)
        self.cause = cause


class GameFailed(Exception):
    """The action is on record, and the game has no step for it: the round is being released."""


class TemporalAway(Exception):
    """Temporal did not answer a question about a round."""

    def __init__(self, error: RPCError) -> None:
        super().__init__(error.status.name)
        self.cause = _cause(error)


class WorkflowLost(Exception):
    """No workflow of this round runs: it has just ended, or Temporal has lost it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunRound:
    """The bet that a round's latest workflow began with, and when. `completed` says that it came to the end
    that it decided on."""

    bet: Bet
    at: datetime
    state: WorkflowState

    @property
    def completed(self) -> bool:
        return self.state is WorkflowState.COMPLETED


class RoundWorkflows:
    """`state`, `restart` and `ended_badly`, which activities use, raise temporalio's RPCError while Temporal
    does not answer. The docstrings of the others name what they raise."""

    def __init__(self, client: Client, *, task_queue: str, begins: RoundStart | None = None) -> None:
        """Whoever starts rounds, or starts them again, says what they begin with."""
        self._client = client
        self._task_queue = task_queue
        self._begins = begins

    async def start(self, bet: Bet) -> bool:
        """Eagerly: Temporal hands the first task back with the reply, and the worker of this process runs
        it. Returns False when it did not: this process has no worker or no free slot, and the first worker
        that has one runs the round. Raises AlreadyStarted and OutcomeUncertain, whose text is the status."""

        async def start(begun: Bet, options: dict[str, Any]) -> WorkflowHandle[object, RoundClosed]:
            return await self._client.start_workflow(
                ROUND_WORKFLOW,
                begun,
                id=bet.key.workflow_id,
                task_queue=self._task_queue,
                result_type=RoundClosed,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                task_timeout=ROUND_TASK_TIMEOUT,
                request_eager_start=True,
                rpc_timeout=START_TIMEOUT,
                **options,
            )

        try:
            started = await self._begin(bet, start)
        except WorkflowAlreadyStartedError:
            raise AlreadyStarted from None
        except RPCError as error:
            raise OutcomeUncertain(error.status.name, _cause(error)) from error
        # The SDK's own name for it, which its samples and tests read.
        return bool(getattr(started, "__temporal_eagerly_started", False))

    async def _begin(self, bet: Bet, start: Callable[[Bet, dict[str, Any]], Awaitable[T]]) -> T:
        """Starts a workflow with all that it can begin with. Raises what `start` raises. One that Temporal
        refuses as invalid is started with its bet alone: an attribute may have gone."""
        if self._begins is None:
            return await start(bet, {})
        begun = self._begins.bet(bet)
        try:
            return await start(begun, self._begins.options(bet))
        except RPCError as error:
            if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                raise
        started = await start(begun, {})
        self._begins.refused()
        return started

    async def _begin_again(self, bet: Bet, start: Callable[[Bet, dict[str, Any]], Awaitable[T]]) -> T:
        """As `_begin`, by a program that may not have started a round for long."""
        if self._begins is not None:
            await self._begins.look()
        return await self._begin(bet, start)

    async def result(self, workflow_id: str) -> RoundClosed | None:
        """Waits for the round's end. Returns None when its workflow failed, or was cancelled or terminated.
        Raises TemporalAway."""
        handle: WorkflowHandle[object, RoundClosed] = self._client.get_workflow_handle(
            workflow_id, result_type=RoundClosed
        )
        try:
            return await handle.result()
        except WorkflowFailureError:
            return None
        except RPCError as error:
            raise TemporalAway(error) from error

    async def begun(self, workflow_id: str) -> BegunRound | None:
        """What Temporal knows of a round that the ledger does not know: its workflow's input. Two reads,
        which leave no event. Returns None when there is no such workflow. Raises TemporalAway, and one of
        CANNOT_OPEN when the input does not open."""
        try:
            described = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=LOOK_LIMIT)
            run = self._client.get_workflow_handle(workflow_id, run_id=described.run_id)
            first = await anext(aiter(run.fetch_history_events(page_size=1, rpc_timeout=LOOK_LIMIT)))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise TemporalAway(error) from error
        payloads = first.workflow_execution_started_event_attributes.input.payloads
        (bet,) = await self._client.data_converter.decode(payloads, [Bet])
        return BegunRound(bet=bet, at=described.start_time, state=_state(described.status))

    async def unfinished(self, round_id: str, *, operator_id: str | None) -> list[RoundKey]:
        """The rounds of this id, of every operator that is not named, whose workflow runs or did not
        complete. Temporal's list has no index of round ids, so the newest LIST_LIMIT are searched. Raises
        TemporalAway."""
        query = f'WorkflowType = "{ROUND_WORKFLOW}" AND ExecutionStatus IN {_UNFINISHED}'
        if operator_id is not None:
            query += f' AND WorkflowId STARTS_WITH "{operator_id}:"'
        listed = self._client.list_workflows(query, page_size=LIST_LIMIT, rpc_timeout=LOOK_LIMIT)
        try:
            await listed.fetch_next_page()
        except RPCError as error:
            raise TemporalAway(error) from error
        found = {execution.id for execution in listed.current_page or ()}
        return [round_key(each) for each in sorted(found) if each.endswith(f":{round_id}")]

    async def act(self, bet: Bet, action: PlayerAction, *, within: timedelta) -> ActionVerdict:
        """Puts a player's action to the round. Raises WorkflowLost, GameFailed and OutcomeUncertain."""
        handle: WorkflowHandle[object, RoundClosed] = self._client.get_workflow_handle(bet.key.workflow_id)
        try:
            acted: ActResult = await handle.execute_update(
                ACT_UPDATE, action, id=_update_id(action), result_type=ActResult, rpc_timeout=within
            )
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise WorkflowLost from None
            raise _uncertain(error) from error
        except (WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            return _refused_or_uncertain(error)
        return acted.verdict

    async def restart_with_action(
        self, bet: Bet, action: PlayerAction, *, within: timedelta
    ) -> ActionVerdict:
        """Puts the action to a round whose workflow is lost. The workflow is started again, and finds the
        stored round. Raises GameFailed and OutcomeUncertain."""

        async def start(begun: Bet, options: dict[str, Any]) -> ActResult:
            acted: ActResult = await self._client.execute_update_with_start_workflow(
                ACT_UPDATE,
                action,
                start_workflow_operation=self._restart(begun, options),
                id=_update_id(action),
                result_type=ActResult,
                rpc_timeout=within,
            )
            return acted

        try:
            acted = await self._begin_again(bet, start)
        except (RPCError, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            return _refused_or_uncertain(error)
        return acted.verdict

    async def intervene(self, bet: Bet, intervention: Intervention) -> InterventionResult:
        """Puts a manual intervention to the round, whose workflow is started again when it is lost. So an
        intervention also resumes a round that Temporal has forgotten. Raises OutcomeUncertain."""

        async def start(begun: Bet, options: dict[str, Any]) -> InterventionResult:
            intervened: InterventionResult = await self._client.execute_update_with_start_workflow(
                INTERVENE_UPDATE,
                intervention,
                start_workflow_operation=self._restart(begun, options),
                id=intervention.intervention_id,
                result_type=InterventionResult,
                rpc_timeout=INTERVENE_LIMIT,
            )
            return intervened

        try:
            return await self._begin_again(bet, start)
        except (RPCError, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            raise _uncertain(error) from None

    def _restart(self, bet: Bet, options: dict[str, Any]) -> WithStartWorkflowOperation[object, RoundClosed]:
        return WithStartWorkflowOperation(
            ROUND_WORKFLOW,
            bet,
            id=bet.key.workflow_id,
            task_queue=self._task_queue,
            result_type=RoundClosed,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            task_timeout=ROUND_TASK_TIMEOUT,
            **options,
        )

    async def state(self, workflow_id: str) -> WorkflowState:
        """The state of the latest workflow of this id."""
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            status = (await handle.describe(rpc_timeout=RPC_LIMIT)).status
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return WorkflowState.FORGOTTEN
            raise
        return _state(status)

    async def exists(self, workflow_id: str) -> bool:
        """Whether Temporal has a workflow of this id, whatever became of it. Raises OutcomeUncertain."""
        try:
            return await self.state(workflow_id) is not WorkflowState.FORGOTTEN
        except RPCError as error:
            raise OutcomeUncertain(error.status.name) from error

    async def restart(self, bet: Bet) -> bool:
        """Starts the round's workflow again after one has ended. Returns False when one runs: a healthy round
        is never started twice, and a closed one answers each step from what it stored."""

        async def start(begun: Bet, options: dict[str, Any]) -> None:
            await self._client.start_workflow(
                ROUND_WORKFLOW,
                begun,
                id=bet.key.workflow_id,
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                task_timeout=ROUND_TASK_TIMEOUT,
                rpc_timeout=RPC_LIMIT,
                **options,
            )

        try:
            await self._begin_again(bet, start)
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


def _state(status: WorkflowExecutionStatus | None) -> WorkflowState:
    return WorkflowState.RUNNING if status is None else _STATES[status]


def _rfc3339(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _update_id(action: PlayerAction) -> str:
    """The id of this request alone. With one id Temporal would answer a repeat with the first refusal, though
    the player may have the money by then. The ledger recognises repeats."""
    return f"{action.action_id}:{action.request_id}"


def _refused_or_uncertain(error: Exception) -> ActionVerdict:
    """The verdict that the workflow's validator refused an action with. Raises GameFailed and, for any other
    error, OutcomeUncertain."""
    cause = error.cause if isinstance(error, WorkflowUpdateFailedError) else None
    played = cause.cause if isinstance(cause, ActivityError) else None
    if isinstance(played, ApplicationError) and played.type == GAME_ERROR:
        raise GameFailed from error
    if isinstance(cause, ApplicationError) and cause.type == ACTION_REFUSED:
        return ActionVerdict(cause.message)
    raise _uncertain(error) from error


def _uncertain(error: Exception) -> OutcomeUncertain:
    why = error.cause if isinstance(error, WorkflowUpdateFailedError) else error
    cause = _cause(error) if isinstance(error, RPCError) else Cause.UNANSWERED
    return OutcomeUncertain(bounded(str(why)), cause)


def _cause(error: RPCError) -> Cause:
    return Cause.BUSY if error.status is RPCStatusCode.RESOURCE_EXHAUSTED else Cause.TEMPORAL
