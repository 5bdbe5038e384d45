"""A round's workflow history as rows of its time line: decrypted, in short, without what says nothing."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import (
    EventType,
    RetryState,
    TimeoutType,
    WorkflowTaskFailedCause,
)
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.converter import DataConverter

from contracts import search, steps
from contracts.actions import ActResult, PlayerAction
from contracts.failures import one_line
from contracts.interventions import Intervention, InterventionResult
from contracts.rounds import Bet, PlayResult, RoundClosed
from timeline.model import Entry, Source, WorkflowStory
from timeline.payloads import Unreadable, failure_text, open_payloads
from timeline.pending import pending
from timeline.results import bet_in_short, closed_in_short, in_short, steps_of
from timeline.values import enum_name, seconds_and_nanos, span, time_of

LOCAL_ACTIVITY: Final = "core_local_activity"
_RESULT_TYPES: Final[dict[str, type]] = {
    step.name: step.result_type for step in vars(steps).values() if isinstance(step, steps.Step)
}
# Both names of the fast path are shown as one.
_SHOWN_AS: Final = {steps.PLAY_NAMED.name: steps.PLAY.name}
_UPDATES: Final[dict[str, tuple[type, type]]] = {
    steps.ACT_UPDATE: (PlayerAction, ActResult),
    steps.INTERVENE_UPDATE: (Intervention, InterventionResult),
}
# A workflow task is how Temporal runs the workflow's code; only its failures say something about the round.
_SILENT: Final = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    }
)


async def story(client: Client, workflow_id: str, *, ui: str | None) -> WorkflowStory:
    """What Temporal tells of the latest run of the round's workflow. Raises RPCError; its status is
    NOT_FOUND when Temporal has forgotten it. Payloads that do not open become rows that say so."""
    handle: Any = client.get_workflow_handle(workflow_id)
    description = await handle.describe()
    history = await client.get_workflow_handle(workflow_id, run_id=description.run_id).fetch_history()
    reader = HistoryReader(client.data_converter)
    entries = [entry async for entry in reader.entries(history.events)]
    path = f"/namespaces/{quote(client.namespace, safe='')}/workflows/{quote(workflow_id, safe='')}"
    return WorkflowStory(
        workflow_id=workflow_id,
        link=f"{ui}{path}/{description.run_id}/history" if ui else None,
        status=_status(description.status),
        events=len(history.events),
        transitions=description.raw_info.state_transition_count,
        entries=tuple(entries),
        now=tuple([line async for line in pending(description, client.data_converter, reader.asked)]),
    )


@dataclass(slots=True)
class HistoryReader:
    """Reads one history from its first event to its last."""

    converter: DataConverter
    worker: str | None = None  # the one that holds the round's workflow
    task_began: datetime | None = None  # the workflow task that is being read
    workflow_time: datetime | None = None  # moves with tasks and with the time that local activities took
    steps: dict[int, str] = field(default_factory=dict)  # step and attempt, by the scheduling event's id
    asked: dict[str, datetime] = field(default_factory=dict)  # when, by the activity's id
    updates: dict[int, str] = field(default_factory=dict)  # names, by the accepting event's id

    async def entries(self, events: Iterable[HistoryEvent]) -> AsyncIterator[Entry]:
        for event in events:
            if event.event_type not in _SILENT:
                for entry in await self._entries(event):
                    yield entry

    async def _entries(self, event: HistoryEvent) -> tuple[Entry, ...]:
        kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
        attributes = getattr(event, event.WhichOneof("attributes") or "", None)
        read: Callable[[HistoryEvent, Any], Any] | None = getattr(self, f"_{kind}", None)
        if read is None:
            # What later releases add to a round is at least named.
            return (Entry(time_of(event.event_time), Source.WORKFLOW, kind.replace("_", " ")),)
        found: Entry | tuple[Entry, ...] | None = await read(event, attributes)
        return found if isinstance(found, tuple) else () if found is None else (found,)

    # The workflow

    async def _workflow_execution_started(self, event: HistoryEvent, started: Any) -> tuple[Entry, ...]:
        eagerly = " eagerly" if started.eager_execution_accepted else ""
        bet = await self._one(started.input.payloads, Bet, bet_in_short)
        begun = _workflow(event, f"started{eagerly}: {bet}")
        found_by = _found_by(started.search_attributes.indexed_fields)
        return (begun, _workflow(event, f"found by {found_by}")) if found_by else (begun,)

    async def _workflow_task_started(self, event: HistoryEvent, started: Any) -> Entry | None:
        self.task_began = self.workflow_time = time_of(event.event_time)
        if started.identity == self.worker:
            return None
        taken = "taken" if self.worker is None else "taken over"
        self.worker = started.identity
        return _workflow(event, f"{taken} by worker {one_line(started.identity)}")

    async def _workflow_task_timed_out(self, event: HistoryEvent, timed_out: Any) -> Entry:
        which = enum_name(TimeoutType, timed_out.timeout_type)
        meaning = "its worker was lost or too slow; any worker takes it again"
        if timed_out.timeout_type == TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START:
            # The next tasks go to every worker, not only to the one that had the workflow in memory.
            meaning = "the worker that had it in memory did not take it; any worker takes it now"
        return _workflow(event, f"task timed out ({which}): {meaning}")

    async def _workflow_task_failed(self, event: HistoryEvent, failed: Any) -> Entry:
        cause = enum_name(WorkflowTaskFailedCause, failed.cause)
        why = await self._failure(failed.failure) if failed.HasField("failure") else ""
        return _workflow(event, f"task failed ({cause}), and is run again{': ' if why else ''}{why}")

    async def _workflow_execution_cancel_requested(self, event: HistoryEvent, asked: Any) -> Entry:
        reason = f": {one_line(asked.cause)}" if asked.cause else ""
        return _workflow(event, f"cancel requested by {one_line(asked.identity) or 'somebody'}{reason}")

    async def _workflow_execution_signaled(self, event: HistoryEvent, signal: Any) -> Entry:
        return _workflow(event, f"signal {one_line(signal.signal_name)} from {one_line(signal.identity)}")

    async def _workflow_execution_terminated(self, event: HistoryEvent, ended: Any) -> Entry:
        reason = f": {one_line(ended.reason)}" if ended.reason else ""
        return _workflow(event, f"terminated by {one_line(ended.identity) or 'somebody'}{reason}")

    async def _workflow_execution_completed(self, event: HistoryEvent, done: Any) -> Entry:
        closed = await self._one(done.result.payloads, RoundClosed, closed_in_short)
        return _workflow(event, f"completed: {closed}")

    async def _workflow_execution_failed(self, event: HistoryEvent, failed: Any) -> Entry:
        return _workflow(event, f"failed: {await self._failure(failed.failure)}")

    async def _workflow_execution_canceled(self, event: HistoryEvent, _: Any) -> Entry:
        return _workflow(event, "cancelled")

    async def _workflow_execution_timed_out(self, event: HistoryEvent, timed_out: Any) -> Entry:
        return _workflow(event, f"timed out ({enum_name(RetryState, timed_out.retry_state)})")

    async def _timer_started(self, event: HistoryEvent, timer: Any) -> Entry:
        timed = f"timer {timer.timer_id} of {span(timer.start_to_fire_timeout)} started"
        return _workflow(event, timed + await self._summary(event, ": {}"))

    async def _timer_fired(self, event: HistoryEvent, timer: Any) -> Entry:
        return _workflow(event, f"timer {timer.timer_id} fired")

    async def _timer_canceled(self, event: HistoryEvent, timer: Any) -> Entry:
        return _workflow(event, f"timer {timer.timer_id} cancelled")

    # What people and players ask of it

    async def _workflow_execution_update_accepted(self, event: HistoryEvent, accepted: Any) -> Entry:
        asked = accepted.accepted_request
        name = self.updates[event.event_id] = one_line(asked.input.name)
        type_, _ = _UPDATES.get(name, (None, None))
        what = await self._one(asked.input.args.payloads, type_, in_short)
        return _workflow(event, f"{name} is asked: {what}")

    async def _workflow_execution_update_completed(self, event: HistoryEvent, done: Any) -> Entry:
        name = self.updates.get(done.accepted_event_id, "an update")
        if done.outcome.HasField("failure"):
            return _workflow(event, f"{name} failed: {await self._failure(done.outcome.failure)}")
        _, type_ = _UPDATES.get(name, (None, None))
        what = await self._one(done.outcome.success.payloads, type_, in_short)
        return _workflow(event, f"{name} is answered: {what}")

    # Steps on the fast path: the marker of a local activity names it in the clear

    async def _marker_recorded(self, event: HistoryEvent, marker: Any) -> Entry | tuple[Entry, ...]:
        facts = _marker_facts(marker)
        if marker.marker_name != LOCAL_ACTIVITY or facts is None:
            return _workflow(event, f"marker {one_line(marker.marker_name)}")
        taken, attempts = one_line(str(facts.get("activity_type"))), facts.get("attempt")
        step = _SHOWN_AS.get(taken, taken)
        # The worker's clock, when the step began: the event's own time is that of the whole task's end.
        began = seconds_and_nanos(facts.get("original_schedule_time"))
        took = self._took(began, seconds_and_nanos(facts.get("complete_time")))
        how = f", attempt {attempts}" if attempts != 1 else f" in {took}" if took else ""
        at = began or time_of(event.event_time)
        if marker.HasField("failure"):
            return Entry(at, Source.STEP, f"{step} failed{how}: {await self._failure(marker.failure)}")
        payloads = marker.details["result"].payloads
        result = await open_payloads(self.converter, payloads, _RESULT_TYPES.get(step))
        whole = Entry(at, Source.STEP, f"{step}{how}: {in_short(result)}")
        return (whole, *steps_of(result, at)) if isinstance(result, PlayResult | ActResult) else whole

    def _took(self, began: datetime | None, complete: datetime | None) -> str | None:
        """How long a local activity ran. Its `complete_time` is in the workflow's time: what that was when
        the step began, and the time that it took. A step that began in an earlier task than the one that
        recorded it began at a workflow time that is not known here."""
        before, self.workflow_time = self.workflow_time, complete or self.workflow_time
        if began is None or complete is None or before is None:
            return None
        if self.task_began is None or began < self.task_began:
            return None
        return f"{(complete - before).total_seconds() * 1000:.1f} ms"

    # Steps on the durable path

    async def _activity_task_scheduled(self, event: HistoryEvent, scheduled: Any) -> Entry:
        step = self.steps[event.event_id] = one_line(scheduled.activity_type.name)
        self.asked[scheduled.activity_id] = time_of(event.event_time)
        limits = f"{span(scheduled.start_to_close_timeout)} for an attempt"
        if scheduled.schedule_to_close_timeout.ToNanoseconds() > 0:
            limits += f", {span(scheduled.schedule_to_close_timeout)} for all"
        what = await self._summary(event, " ({})")
        return _step(event, f"{step} goes on as an activity{what}: {limits}")

    async def _activity_task_started(self, event: HistoryEvent, started: Any) -> Entry:
        """Temporal records only the attempt that ended the activity, together with its end."""
        attempt = f"{self._which(started)}, activity attempt {started.attempt}"
        self.steps[started.scheduled_event_id] = attempt
        before = ""
        if started.HasField("last_failure"):
            before = f"; the attempt before failed: {await self._failure(started.last_failure)}"
        return _step(event, f"{attempt} started on {one_line(started.identity)}{before}")

    async def _activity_task_completed(self, event: HistoryEvent, done: Any) -> Entry:
        attempt = self._which(done)
        result = await self._result(attempt.partition(",")[0], done.result)
        return _step(event, f"{attempt}: {result}")

    async def _activity_task_failed(self, event: HistoryEvent, failed: Any) -> Entry:
        state, why = enum_name(RetryState, failed.retry_state), await self._failure(failed.failure)
        return _step(event, f"{self._which(failed)} failed for good ({state}): {why}")

    async def _activity_task_timed_out(self, event: HistoryEvent, timed_out: Any) -> Entry:
        state, why = enum_name(RetryState, timed_out.retry_state), await self._failure(timed_out.failure)
        return _step(event, f"{self._which(timed_out)} is given up ({state}): {why}")

    async def _activity_task_cancel_requested(self, event: HistoryEvent, asked: Any) -> Entry:
        return _step(event, f"{self._which(asked)}: asked to stop")

    async def _activity_task_canceled(self, event: HistoryEvent, cancelled: Any) -> Entry:
        return _step(event, f"{self._which(cancelled)} cancelled")

    def _which(self, attributes: Any) -> str:
        return self.steps.get(attributes.scheduled_event_id, "a step")

    # What was sealed

    async def _result(self, step: str, result: Any) -> str:
        return await self._one(result.payloads, _RESULT_TYPES.get(step), in_short)

    async def _one(self, payloads: Iterable[Payload], type_: type | None, say: Callable[[Any], str]) -> str:
        value = await open_payloads(self.converter, payloads, type_)
        return str(value) if isinstance(value, Unreadable) else say(value)

    async def _summary(self, event: HistoryEvent, form: str) -> str:
        """What the workflow says of an activity or a timer, in `form`; nothing where it said nothing."""
        if not event.user_metadata.HasField("summary"):
            return ""
        return form.format(await self._one([event.user_metadata.summary], str, one_line))

    async def _failure(self, failure: Failure) -> str:
        return await failure_text(self.converter, failure)


def _status(status: WorkflowExecutionStatus | None) -> str:
    return "unknown" if status is None else status.name.lower()


def _found_by(attributes: Mapping[str, Payload]) -> str:
    """The search attributes of the start; they are not sealed."""
    values = DataConverter.default.payload_converter
    shown = {name: values.from_payload(payload) for name, payload in attributes.items()}
    return one_line(", ".join(f"{name} {shown[name]}" for name in search.ATTRIBUTES if name in shown))


def _marker_facts(marker: Any) -> dict[str, Any] | None:
    """The marker's own data, which the worker's core writes as plain JSON."""
    try:
        facts = json.loads(marker.details["data"].payloads[0].data)
    except (ValueError, IndexError):
        return None
    return facts if isinstance(facts, dict) else None


def _workflow(event: HistoryEvent, what: str) -> Entry:
    return Entry(time_of(event.event_time), Source.WORKFLOW, what)


def _step(event: HistoryEvent, what: str) -> Entry:
    return Entry(time_of(event.event_time), Source.STEP, what)
