"""A stage for webhooks: the real workflows on a real Temporal server, with fake steps around them."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.client import WorkflowHistory as History
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import Replayer, Worker

from contracts import webhooks as steps
from contracts.webhooks import (
    DELIVERY_WORKFLOW,
    HELD_BACK,
    NOT_DELIVERED,
    TEST_WORKFLOW,
    WEBHOOK_WORKFLOW,
    AttemptResult,
    Delivery,
    DeliveryOrder,
    DispatchResult,
    Retries,
    TestOrder,
    TestResult,
    WebhookKey,
)
from runtime.temporal import certain_to_end
from tests.support.temporal import PLAIN
from tests.workflow.stage import PATIENCE_S, SANDBOX, TASK_TIMEOUT
from workflows.webhooks import DeliveryWorkflow, WebhookTestWorkflow, WebhookWorkflow

WORKFLOWS: Final = [WebhookWorkflow, DeliveryWorkflow, WebhookTestWorkflow]
CLOCK_S: Final = 0.01  # the server counts milliseconds
RETRIES: Final = Retries(first_s=5, longest_s=3600, patience_s=3 * 24 * 3600)


@dataclass
class FakeSteps:
    """`turns` are what sending comes to, turn by turn, then OVER; None is one that is held back. An attempt
    fails `failures` times, for ever for None, and then answers `attempted`. `at` are the server's times of
    the attempts, and `began` this machine's, of which the first is when the stage was made."""

    turns: list[DispatchResult | None] = field(default_factory=list)
    failures: int | None = 0
    attempted: AttemptResult = AttemptResult.DELIVERED
    at: list[datetime] = field(default_factory=list)
    began: list[float] = field(default_factory=lambda: [time.monotonic()])
    dispatched: int = 0
    dead_lettered: int = 0
    lost_dead_letters: int = 0  # dead letters whose answer is lost
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    hangs: bool = False

    @activity.defn(name=steps.DISPATCH.name)
    async def dispatch(self, key: WebhookKey) -> DispatchResult:
        self._begin()
        turn = self.turns.pop(0) if self.turns else DispatchResult.OVER
        if turn is None:
            raise ApplicationError(
                "50 events are being retried", type=HELD_BACK, category=ApplicationErrorCategory.BENIGN
            )
        self.dispatched += 1
        return turn

    @activity.defn(name=steps.ATTEMPT.name)
    async def attempt(self, delivery: Delivery) -> AttemptResult:
        self._begin()
        self.reached.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.failures is None or len(self.at) <= self.failures:
            raise ApplicationError("status-503", type=NOT_DELIVERED, category=ApplicationErrorCategory.BENIGN)
        return self.attempted

    @activity.defn(name=steps.DEAD_LETTER.name)
    async def dead_letter(self, delivery: Delivery) -> bool:
        self.dead_lettered += 1
        if self.dead_lettered <= self.lost_dead_letters:
            raise ConnectionError("the connection was lost")
        return True

    @activity.defn(name=steps.TEST.name)
    async def test(self, order: TestOrder) -> TestResult:
        self._begin()
        if self.failures is None:
            raise ApplicationError("the database is away")
        return TestResult(found=True, error="status-503: down", took_ms=7)

    def check_pauses(self, wanted_s: Sequence[float]) -> None:
        """That the server let so many seconds pass between the end of each attempt and the next one. Its
        clock goes on while an attempt runs, which on a busy machine may be for more than a second: what it
        shows may be longer by the time that has passed here, and no shorter."""
        shown = [(later - at).total_seconds() for at, later in pairwise(self.at)]
        passed = [later - earlier for earlier, later in zip(self.began, self.began[2:], strict=False)]
        assert len(shown) == len(wanted_s), shown
        for wanted, pause, here in zip(wanted_s, shown, passed, strict=True):
            assert wanted - CLOCK_S <= pause <= wanted + here + CLOCK_S, (shown, passed)

    def _begin(self) -> None:
        self.at.append(activity.info().current_attempt_scheduled_time)
        self.began.append(time.monotonic())


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A workflow that has ended, with all the runs that it went on as."""

    status: WorkflowExecutionStatus
    result: Any
    histories: list[History]

    @property
    def history(self) -> History:
        return self.histories[-1]


class WebhookStage:
    """What is played must replay: `end` sees to that."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.task_queue = f"webhooks-{name}"
        self.steps = FakeSteps()
        self.key = WebhookKey(operator_id="operator-1", webhook_id=name)
        self.delivery = Delivery(key=self.key, event_id="5b0c1c9e-0000-4000-8000-000000000001", replay=0)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        worker = Worker(
            self.client,
            task_queue=self.task_queue,
            workflows=WORKFLOWS,
            activities=[
                self.steps.dispatch,
                self.steps.attempt,
                self.steps.dead_letter,
                self.steps.test,
            ],
            workflow_runner=SANDBOX,
        )
        async with certain_to_end(worker):
            yield

    async def send(self) -> Ended:
        """The webhook's workflow, to its end."""
        async with self.working():
            return await self.end(
                await self.client.start_workflow(
                    WEBHOOK_WORKFLOW,
                    self.key,
                    id=self.key.workflow_id,
                    task_queue=self.task_queue,
                    task_timeout=TASK_TIMEOUT,
                )
            )

    async def start_delivery(self, retries: Retries = RETRIES) -> WorkflowHandle[Any, Any]:
        return await self.client.start_workflow(
            DELIVERY_WORKFLOW,
            DeliveryOrder(delivery=self.delivery, retries=retries),
            id=self.delivery.workflow_id,
            task_queue=self.task_queue,
            result_type=bool,
            task_timeout=TASK_TIMEOUT,
        )

    async def deliver(self, retries: Retries = RETRIES) -> Ended:
        """A delivery's workflow, to its end."""
        async with self.working():
            return await self.end(await self.start_delivery(retries))

    async def test(self) -> Ended:
        """A test's workflow, to its end."""
        order = TestOrder(key=self.key, event_id=self.delivery.event_id, occurred_at="2026-11-27T00:00:00Z")
        async with self.working():
            return await self.end(
                await self.client.start_workflow(
                    TEST_WORKFLOW,
                    order,
                    id=order.workflow_id,
                    task_queue=self.task_queue,
                    result_type=TestResult,
                    task_timeout=TASK_TIMEOUT,
                )
            )

    async def end(self, handle: WorkflowHandle[Any, Any]) -> Ended:
        result = None
        async with asyncio.timeout(PATIENCE_S):
            with suppress(WorkflowFailureError):
                result = await handle.result()
            latest = self.client.get_workflow_handle(handle.id)
            status = (await latest.describe()).status
        assert status is not None
        histories = [
            await self.client.get_workflow_handle(handle.id, run_id=run).fetch_history()
            for run in await self._runs(handle)
        ]
        replayer = Replayer(workflows=WORKFLOWS, workflow_runner=SANDBOX, data_converter=PLAIN)
        for history in histories:
            await replayer.replay_workflow(history)
        return Ended(status=status, result=result, histories=histories)

    async def _runs(self, handle: WorkflowHandle[Any, Any]) -> list[str]:
        """In the order in which one went on as the next."""
        run: str | None = handle.first_execution_run_id
        runs: list[str] = []
        while run:
            runs.append(run)
            history = await self.client.get_workflow_handle(handle.id, run_id=run).fetch_history()
            last = history.events[-1]
            continued = last.workflow_execution_continued_as_new_event_attributes
            run = continued.new_execution_run_id or None
        return runs
