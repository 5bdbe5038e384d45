"""A stage for one round: the real workflow on a real Temporal server, with fake steps around it."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar
from uuid import uuid4

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowHistory,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.worker import Replayer, Worker
from temporalio.worker.workflow_sandbox import SandboxRestrictions

from contracts.interventions import Action, Intervention, InterventionResult
from contracts.rounds import Bet, PlayResult, RoundClosed, RoundKey
from contracts.steps import INTERVENE_UPDATE, ROUND_WORKFLOW
from runtime.temporal import certain_to_end
from tests.support.conditions import HANG_S
from tests.support.sandbox import Sandbox
from tests.support.temporal import PLAIN
from tests.workflow.fake_steps import FakeSteps
from tests.workflow.faults import Fault, Hangs
from tests.workflow.world import World
from workflows.round import RoundWorkflow

STAKE: Final = 100
REQUEST_ID: Final = "request-1"
# Long, so that a busy machine does not make a task run twice; tests that kill a worker take the short one.
TASK_TIMEOUT: Final = timedelta(seconds=60)
SHORT_TASK_TIMEOUT: Final = timedelta(seconds=5)
# How long a test waits for what a workflow does. A busy server may lose a task on its way to the worker, as
# any Temporal may, and gives it out again when its timeout is over: that much, and what only a hang takes.
PATIENCE_S: Final = TASK_TIMEOUT.total_seconds() + HANG_S
# How long a task waits for a worker that remembers the workflow: long for the same reason, and short where
# that worker is gone.
STICKY_TIMEOUT: Final = timedelta(seconds=20)
SHORT_STICKY_TIMEOUT: Final = timedelta(seconds=1)
# To load the contracts anew for each round would be most of its cost; they are loaded there where the
# recorded histories replay (tests/replay). Policies are constants, and passed through they are those that a
# test has set.
SANDBOX: Final = Sandbox(
    restrictions=SandboxRestrictions.default.with_passthrough_modules("contracts", "workflows.policies")
)

Handle = WorkflowHandle[object, RoundClosed]
AnyFault = TypeVar("AnyFault", bound=Fault)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A round that has ended: as its workflow answered, and as Temporal recorded it."""

    status: WorkflowExecutionStatus
    closed: RoundClosed | None
    failure: BaseException | None
    history: WorkflowHistory

    @property
    def event_types(self) -> list[str]:
        return [_short(event) for event in self.history.events]

    @property
    def duration(self) -> timedelta:
        """By the workflow's own clock, skipped time included."""
        first, last = self.history.events[0], self.history.events[-1]
        return last.event_time.ToDatetime() - first.event_time.ToDatetime()

    @property
    def fast_paths(self) -> list[PlayResult | None]:
        """What each fast path that the history knows of answered; None for one that failed."""
        markers = [e.marker_recorded_event_attributes for e in self.history.events if _is_marker(e)]
        convert = PLAIN.payload_converter.from_payloads
        return [
            convert(list(marker.details["result"].payloads), [PlayResult])[0]
            if not marker.HasField("failure")
            else None
            for marker in markers
        ]


class Stage:
    """Set faults, then `play`. Whatever the round does, its world must be whole in the end, its history
    must replay, and every fault must have struck: `play` and `end` see to that."""

    def __init__(
        self, client: Client, round_id: str, *, stake: int = STAKE, task_timeout: timedelta = TASK_TIMEOUT
    ) -> None:
        self.task_timeout = task_timeout
        self.options: dict[str, Any] = {}  # of the workflow's start, beside what all have
        self.sticky_timeout = STICKY_TIMEOUT
        self.client = client
        self.task_queue = f"stage-{round_id}"
        self.world = World()
        self.faults: list[Fault] = []
        self.steps = FakeSteps(self.world, self.faults)
        self.bet = Bet(
            key=RoundKey(operator_id="operator-1", player_key=1, round_id=round_id),
            player_id="player-1",
            account_id=1,
            session_id="session-1",
            game_id="reels",
            game_version="1.0.0",
            currency="EUR",
            stake=stake,
            mode="base",
            choice=None,
            request_id=REQUEST_ID,
        )

    @property
    def attempts(self) -> list[str]:
        return self.steps.attempts

    def set(self, fault: AnyFault) -> AnyFault:
        self.faults.append(fault)
        return fault

    def inherit(self, world: World, faults: list[Fault]) -> None:
        """Goes on with what a worker of another process made of its copies."""
        vars(self.world).update(vars(world))
        self.faults[:] = faults

    def worker(self, *, cached_workflows: int = 10) -> Worker:
        worker = Worker(
            self.client,
            task_queue=self.task_queue,
            workflows=[RoundWorkflow],
            activities=self.steps.activities,
            workflow_runner=SANDBOX,
            max_cached_workflows=cached_workflows,
            sticky_queue_schedule_to_start_timeout=self.sticky_timeout,
        )
        return certain_to_end(worker)

    async def start(self, *, eager: bool = True) -> Handle:
        """As the ingress starts it."""
        handle: Handle = await self.client.start_workflow(
            ROUND_WORKFLOW,
            self.bet,
            id=self.bet.key.workflow_id,
            task_queue=self.task_queue,
            result_type=RoundClosed,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            task_timeout=self.task_timeout,
            request_eager_start=eager,
            **self.options,
        )
        return handle

    async def play(self, *, whole: bool = True) -> Ended:
        async with self.worker():
            return await self.end(await self.start(), whole=whole)

    async def end(self, handle: Handle, *, whole: bool = True) -> Ended:
        closed: RoundClosed | None = None
        failure: BaseException | None = None
        async with asyncio.timeout(PATIENCE_S):
            try:
                closed = await handle.result()
            except WorkflowFailureError as error:
                failure = error.cause
            description = await handle.describe()
            history = await handle.fetch_history()
        assert description.status is not None
        for fault in self.faults:
            fault.assert_spent()
        if whole:
            self.world.assert_whole()
        replayer = Replayer(workflows=[RoundWorkflow], workflow_runner=SANDBOX, data_converter=PLAIN)
        await replayer.replay_workflow(history)
        return Ended(status=description.status, closed=closed, failure=failure, history=history)

    def decision(self, action: Action, **changes: Any) -> Intervention:
        """A person's, with an id of its own."""
        decision = Intervention(
            intervention_id=str(uuid4()), action=action, reason="ticket 4711", actor="key:tests"
        )
        return dataclasses.replace(decision, **changes)

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[Handle]:
        """A round under way, for a test that does something to it before its `end`."""
        async with self.worker():
            try:
                yield await self.start()
            except BaseException:
                # Or the worker waits for ever for a step that hangs, instead of saying what went wrong.
                for fault in self.faults:
                    if isinstance(fault, Hangs):
                        fault.go.set()
                raise


async def intervene(handle: Handle, decision: Intervention) -> InterventionResult:
    """As the ingress puts a person's decision to a round that runs."""
    async with asyncio.timeout(PATIENCE_S):
        intervened: InterventionResult = await handle.execute_update(
            INTERVENE_UPDATE, decision, id=decision.intervention_id, result_type=InterventionResult
        )
    return intervened


async def within(event: asyncio.Event) -> None:
    """Waits for `event`; a test that is stuck says so."""
    async with asyncio.timeout(PATIENCE_S):
        await event.wait()


async def heard(handle: Handle) -> None:
    """Until the workflow has worked off the task that told it of its cancellation."""
    requested = False
    async with asyncio.timeout(PATIENCE_S):
        async for event in handle.fetch_history_events(wait_new_event=True):
            requested |= event.HasField("workflow_execution_cancel_requested_event_attributes")
            if requested and event.HasField("workflow_task_completed_event_attributes"):
                return


def _is_marker(event: HistoryEvent) -> bool:
    return event.HasField("marker_recorded_event_attributes")


def _short(event: HistoryEvent) -> str:
    return EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
