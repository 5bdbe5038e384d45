"""What Temporal remembers of rounds and of the ledger: what a restored ledger compares itself with."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from contracts.actions import ActResult, PlayerAction
from contracts.choices import Offer
from contracts.reconciliation import round_key
from contracts.rounds import Bet, RoundClosed, RoundKey
from contracts.steps import ACT_UPDATE, ROUND_WORKFLOW

# The workflow that nobody runs: it stays open, and its memo has the ledger's latest epoch.
LEDGER_WORKFLOW: Final = "Ledger"
LEDGER_ID: Final = "croupier-ledger"
EPOCH: Final = "epoch"
PAGE: Final = 500
RPC_LIMIT: Final = timedelta(seconds=10)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LostAction:
    """An action that a workflow took. `debit` is what it cost in minor units, None where its history does not
    show the offer."""

    action: PlayerAction
    debit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRound:
    """A round as its latest workflow tells it. `result` is None while it runs, and where it did not complete.
    `waited` says that its player was asked for a choice."""

    bet: Bet
    started_at: datetime
    running: bool
    result: RoundClosed | None
    actions: tuple[LostAction, ...]
    waited: bool


class PastRounds:
    """All raise RPCError while Temporal does not answer, and one of security.payload_codec.CANNOT_OPEN for
    what this keyring does not open."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def epoch(self) -> int:
        """The number of the latest epoch that was opened; 0 when none is known."""
        try:
            described = await self._client.get_workflow_handle(LEDGER_ID).describe(rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return 0
            raise
        return int(await described.memo_value(EPOCH, 0, type_hint=int))

    async def keep_epoch(self, number: int) -> None:
        """Remembers the epoch beside the ledger, where no restore of it reaches."""
        await self._client.start_workflow(
            LEDGER_WORKFLOW,
            id=LEDGER_ID,
            task_queue=LEDGER_ID,
            memo={EPOCH: number},
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
            rpc_timeout=RPC_LIMIT,
        )

    async def retention(self) -> timedelta:
        """How long the namespace keeps workflows that have ended."""
        described = await self._client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=self._client.namespace), timeout=RPC_LIMIT
        )
        return described.config.workflow_execution_retention_ttl.ToTimedelta()

    async def latest_completed(self) -> list[RoundKey]:
        """The rounds whose workflows completed last."""
        query = f'WorkflowType = "{ROUND_WORKFLOW}" AND ExecutionStatus = "Completed"'
        listed = self._client.list_workflows(query, page_size=100, rpc_timeout=RPC_LIMIT)
        await listed.fetch_next_page()
        return [round_key(found.id) for found in listed.current_page or ()]

    async def started(self, *, since: datetime, until: datetime) -> AsyncIterator[list[RoundKey]]:
        """Pages of the rounds whose workflows began between the two moments, whatever became of them."""
        query = (
            f'WorkflowType = "{ROUND_WORKFLOW}" AND StartTime >= "{_rfc3339(since)}"'
            f' AND StartTime < "{_rfc3339(until)}"'
        )
        token: bytes | None = b""
        while token is not None:
            listed = self._client.list_workflows(
                query, page_size=PAGE, next_page_token=token or None, rpc_timeout=RPC_LIMIT
            )
            await listed.fetch_next_page()
            token = listed.next_page_token or None
            yield [round_key(found.id) for found in listed.current_page or ()]

    async def tell(self, key: RoundKey) -> PastRound | None:
        """The round by its workflow's history; None when Temporal has none."""
        handle = self._client.get_workflow_handle(key.workflow_id)
        try:
            events = [event async for event in handle.fetch_history_events(rpc_timeout=RPC_LIMIT)]
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        return await self._told(events)

    async def terminate(self, key: RoundKey, why: str) -> None:
        """Ends the round's workflow where it runs; what has ended stays as it is."""
        try:
            await self._client.get_workflow_handle(key.workflow_id).terminate(
                reason=why, rpc_timeout=RPC_LIMIT
            )
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _told(self, events: Sequence[HistoryEvent]) -> PastRound:
        first, last = events[0], events[-1]
        result = None
        if last.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            result = await self._open(
                last.workflow_execution_completed_event_attributes.result.payloads, RoundClosed
            )
        actions = await self._actions(events)
        timers = any(event.event_type == EventType.EVENT_TYPE_TIMER_STARTED for event in events)
        return PastRound(
            bet=await self._open(first.workflow_execution_started_event_attributes.input.payloads, Bet),
            started_at=first.event_time.ToDatetime(UTC),
            running=last.event_type not in ENDS,
            result=result,
            actions=actions,
            waited=timers or bool(actions),
        )

    async def _actions(self, events: Sequence[HistoryEvent]) -> tuple[LostAction, ...]:
        """The actions that counted, in their order. One without an answer may have."""
        answers = await self._answers(events)
        taken: list[LostAction] = []
        offer: Offer | None = None
        for event in events:
            if event.event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
                continue
            put = event.workflow_execution_update_accepted_event_attributes.accepted_request.input
            if put.name != ACT_UPDATE:
                continue
            action = await self._open(put.args.payloads, PlayerAction)
            answer = answers.get(event.event_id)
            if answer is None or answer.verdict.counts:
                chosen = None if offer is None else offer.find(action.chosen)
                taken.append(LostAction(action=action, debit=None if chosen is None else chosen.debit))
            offer = answer.open.offer if answer is not None and answer.open is not None else None
        return tuple(taken)

    async def _answers(self, events: Sequence[HistoryEvent]) -> dict[int, ActResult]:
        """The answers of updates by the events that accepted them. A failed one is left out."""
        found: dict[int, ActResult] = {}
        for event in events:
            done = event.workflow_execution_update_completed_event_attributes
            if done.accepted_event_id and done.outcome.HasField("success"):
                payloads = done.outcome.success.payloads
                if payloads:
                    with_verdict = await self._open(payloads, dict[str, Any])
                    if set(with_verdict) >= {"verdict", "state"} and "open" in with_verdict:
                        found[done.accepted_event_id] = await self._open(payloads, ActResult)
        return found

    async def _open(self, payloads: Sequence[Payload], kind: type[T]) -> T:
        (value,) = await self._client.data_converter.decode(list(payloads), [kind])
        return value  # type: ignore[no-any-return]


ENDS: Final = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
    }
)


def _rfc3339(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
