"""A round's workflow history as rows of its time line: decrypted, in short, without what says nothing."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import (
    EventType,
    PendingActivityState,
    RetryState,
    TimeoutType,
    WorkflowTaskFailedCause,
)
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError, FailureError, TimeoutError

from cli.timeline import Entry, Source, WorkflowStory, compact, money
from contracts import steps
from contracts.failures import one_line
from contracts.rounds import Bet, Played, Reservation, Resolution, RoundClosed, Terminal

LOCAL_ACTIVITY: Final = "core_local_activity"
_RESULT_TYPES: Final[dict[str, type]] = {
    step.name: step.result_type
    for step in (steps.RESERVE, steps.RESOLVE, steps.SETTLE, steps.RELEASE, steps.EMIT, steps.PLAY)
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
        now=tuple([line async for line in _pending(description, client.data_converter)]),
    )


class _Unreadable(str):
    """Why a payload's value is not there."""

    __slots__ = ()


@dataclass(slots=True)
class HistoryReader:
    """Reads one history from its first event to its last."""

    converter: DataConverter
    worker: str | None = None  # the one that holds the round's workflow
    task_began: datetime | None = None  # the workflow task that is being read
    workflow_time: datetime | None = None  # moves with tasks and with the time that local activities took
    patient: dict[int, str] = field(default_factory=dict)  # step and attempt, by the scheduling event's id

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
            return (Entry(_time(event.event_time), Source.WORKFLOW, kind.replace("_", " ")),)
        found: Entry | tuple[Entry, ...] | None = await read(event, attributes)
        return found if isinstance(found, tuple) else () if found is None else (found,)

    # The workflow

    async def _workflow_execution_started(self, event: HistoryEvent, started: Any) -> Entry:
        eagerly = " eagerly" if started.eager_execution_accepted else ""
        bet = await self._one(started.input.payloads, Bet, _bet)
        return _workflow(event, f"started{eagerly}: {bet}")

    async def _workflow_task_started(self, event: HistoryEvent, started: Any) -> Entry | None:
        self.task_began = self.workflow_time = _time(event.event_time)
        if started.identity == self.worker:
            return None
        taken = "taken" if self.worker is None else "taken over"
        self.worker = started.identity
        return _workflow(event, f"{taken} by worker {one_line(started.identity)}")

    async def _workflow_task_timed_out(self, event: HistoryEvent, timed_out: Any) -> Entry:
        which = _name(TimeoutType, timed_out.timeout_type)
        meaning = "its worker was lost or too slow; any worker takes it again"
        if timed_out.timeout_type == TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START:
            # The next tasks go to every worker, not only to the one that had the workflow in memory.
            meaning = "the worker that had it in memory did not take it; any worker takes it now"
        return _workflow(event, f"task timed out ({which}): {meaning}")

    async def _workflow_task_failed(self, event: HistoryEvent, failed: Any) -> Entry:
        cause = _name(WorkflowTaskFailedCause, failed.cause)
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
        return _workflow(event, f"completed: {await self._one(done.result.payloads, RoundClosed, _closed)}")

    async def _workflow_execution_failed(self, event: HistoryEvent, failed: Any) -> Entry:
        return _workflow(event, f"failed: {await self._failure(failed.failure)}")

    async def _workflow_execution_canceled(self, event: HistoryEvent, _: Any) -> Entry:
        return _workflow(event, "cancelled")

    async def _workflow_execution_timed_out(self, event: HistoryEvent, timed_out: Any) -> Entry:
        return _workflow(event, f"timed out ({_name(RetryState, timed_out.retry_state)})")

    async def _timer_started(self, event: HistoryEvent, timer: Any) -> Entry:
        return _workflow(event, f"timer {timer.timer_id} of {_span(timer.start_to_fire_timeout)} started")

    async def _timer_fired(self, event: HistoryEvent, timer: Any) -> Entry:
        return _workflow(event, f"timer {timer.timer_id} fired")

    async def _timer_canceled(self, event: HistoryEvent, timer: Any) -> Entry:
        return _workflow(event, f"timer {timer.timer_id} cancelled")

    # All steps in one go: the marker of a local activity names it in the clear

    async def _marker_recorded(self, event: HistoryEvent, marker: Any) -> Entry | tuple[Entry, ...]:
        facts = _marker_facts(marker)
        if marker.marker_name != LOCAL_ACTIVITY or facts is None:
            return _workflow(event, f"marker {one_line(marker.marker_name)}")
        step, attempts = one_line(str(facts.get("activity_type"))), facts.get("attempt")
        # The worker's clock, when the step began: the event's own time is that of the whole task's end.
        began = _seconds_and_nanos(facts.get("original_schedule_time"))
        took = self._took(began, _seconds_and_nanos(facts.get("complete_time")))
        how = f", attempt {attempts}" if attempts != 1 else f" in {took}" if took else ""
        at = began or _time(event.event_time)
        if marker.HasField("failure"):
            return Entry(at, Source.STEP, f"{step} failed{how}: {await self._failure(marker.failure)}")
        played = await self._value(marker.details["result"].payloads, _RESULT_TYPES.get(step))
        whole = Entry(at, Source.STEP, f"{step}{how}: {_in_short(played)}")
        return (whole, *_steps_of(played, at)) if isinstance(played, Played) else whole

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

    # Steps, the patient way

    async def _activity_task_scheduled(self, event: HistoryEvent, scheduled: Any) -> Entry:
        step = self.patient[event.event_id] = one_line(scheduled.activity_type.name)
        limits = f"{_span(scheduled.start_to_close_timeout)} for an attempt"
        if scheduled.schedule_to_close_timeout.ToNanoseconds() > 0:
            limits += f", {_span(scheduled.schedule_to_close_timeout)} for all"
        return _step(event, f"{step} goes on patiently: {limits}")

    async def _activity_task_started(self, event: HistoryEvent, started: Any) -> Entry:
        """Temporal records only the attempt that ended the activity, together with its end."""
        attempt = f"{self._which(started)}, patient attempt {started.attempt}"
        self.patient[started.scheduled_event_id] = attempt
        before = ""
        if started.HasField("last_failure"):
            before = f"; the attempt before failed: {await self._failure(started.last_failure)}"
        return _step(event, f"{attempt} started on {one_line(started.identity)}{before}")

    async def _activity_task_completed(self, event: HistoryEvent, done: Any) -> Entry:
        attempt = self._which(done)
        result = await self._result(attempt.partition(",")[0], done.result)
        return _step(event, f"{attempt}: {result}")

    async def _activity_task_failed(self, event: HistoryEvent, failed: Any) -> Entry:
        state, why = _name(RetryState, failed.retry_state), await self._failure(failed.failure)
        return _step(event, f"{self._which(failed)} failed for good ({state}): {why}")

    async def _activity_task_timed_out(self, event: HistoryEvent, timed_out: Any) -> Entry:
        state, why = _name(RetryState, timed_out.retry_state), await self._failure(timed_out.failure)
        return _step(event, f"{self._which(timed_out)} is given up ({state}): {why}")

    async def _activity_task_cancel_requested(self, event: HistoryEvent, asked: Any) -> Entry:
        return _step(event, f"{self._which(asked)}: asked to stop")

    async def _activity_task_canceled(self, event: HistoryEvent, cancelled: Any) -> Entry:
        return _step(event, f"{self._which(cancelled)} cancelled")

    def _which(self, attributes: Any) -> str:
        return self.patient.get(attributes.scheduled_event_id, "a step")

    # What was sealed

    async def _result(self, step: str, result: Any) -> str:
        return await self._one(result.payloads, _RESULT_TYPES.get(step), _in_short)

    async def _one(self, payloads: Iterable[Payload], type_: type | None, say: Callable[[Any], str]) -> str:
        value = await self._value(payloads, type_)
        return str(value) if isinstance(value, _Unreadable) else say(value)

    async def _value(self, payloads: Iterable[Payload], type_: type | None) -> Any:
        hints = None if type_ is None else [type_]
        try:
            values = await self.converter.decode(list(payloads), hints)
        except Exception as error:  # noqa: BLE001 - an unknown key, a changed byte, a type that has changed
            return _Unreadable(one_line(f"cannot be read ({type(error).__name__}: {error})"))
        return values[0] if values else _Unreadable("nothing")

    async def _failure(self, failure: Failure) -> str:
        return await failure_text(self.converter, failure)


async def failure_text(converter: DataConverter, failure: Failure) -> str:
    """The innermost cause in one bounded line."""
    try:
        error: BaseException = await converter.decode_failure(failure)
    except Exception as problem:  # noqa: BLE001 - an unknown key or a changed byte
        return one_line(f"cannot be read ({type(problem).__name__}: {problem})")
    while isinstance(error, FailureError) and error.cause is not None:
        error = error.cause
    if isinstance(error, TimeoutError):
        return f"timed out ({error.type.name.replace('_', ' ').lower()})" if error.type else "timed out"
    name = error.type if isinstance(error, ApplicationError) and error.type else type(error).__name__
    message = error.message if isinstance(error, FailureError) else str(error)
    return one_line(f"{name}: {message}").rstrip(": ")


async def _pending(description: WorkflowExecutionDescription, converter: DataConverter) -> AsyncIterator[str]:
    """What an open workflow waits for. A closed one may still list what it never came to hear of."""
    raw = description.raw_description
    if description.status is not WorkflowExecutionStatus.RUNNING:
        return
    for activity in raw.pending_activities:
        yield await _pending_step(activity, converter)
    if raw.HasField("pending_workflow_task"):
        task = raw.pending_workflow_task
        if task.HasField("started_time"):
            yield f"a worker has the workflow since {_shown(task.started_time)}, attempt {task.attempt}"
        else:
            since = _shown(task.scheduled_time)
            yield f"the workflow waits for a worker since {since}, attempt {task.attempt}"


def _status(status: WorkflowExecutionStatus | None) -> str:
    return "unknown" if status is None else status.name.lower()


async def _pending_step(activity: PendingActivityInfo, converter: DataConverter) -> str:
    step = one_line(activity.activity_type.name)
    if activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED:
        doing = f"attempt {activity.attempt} runs since {_shown(activity.last_started_time)}"
    else:
        doing = f"waits for attempt {activity.attempt}"
        if activity.HasField("next_attempt_schedule_time"):
            doing += f" at {_shown(activity.next_attempt_schedule_time)}"
    if not activity.HasField("last_failure"):
        return f"{step} {doing}"
    return f"{step} {doing}; the last one failed: {await failure_text(converter, activity.last_failure)}"


def _in_short(result: object) -> str:
    match result:
        case Reservation():
            return _reservation(result)
        case Resolution():
            return f"win {result.win}, outcome {compact(result.outcome)}"
        case Played():
            return _played(result)
        case Terminal():
            return _ended(result.state, result.failure_code) + (
                f", event {result.event_id}" if result.event_id else ""
            )
        case _Unreadable():
            return str(result)
        case bool():
            return "the broker has confirmed the event" if result else "the event was out already"
        case _:
            return one_line(str(result))


def _played(played: Played) -> str:
    ended = _ended(played.state, played.failure_code)
    if played.unconfirmed_event_id is None:
        return ended
    return f"{ended}, event {played.unconfirmed_event_id} not confirmed yet"


def _steps_of(played: Played, began: datetime) -> tuple[Entry, ...]:
    """The steps inside the one go, one after the other from its beginning."""
    entries, at = [], began
    for step, took_us in played.took_us.items():
        entries.append(Entry(at, Source.STEP, f"{step} in {took_us / 1000:.1f} ms"))
        at += timedelta(microseconds=took_us)
    return tuple(entries)


def _reservation(reservation: Reservation) -> str:
    if reservation.draw is None:
        return _ended(reservation.state, reservation.failure_code)
    draw = reservation.draw
    return f"stake held, nonce {draw.nonce} of seed {draw.seed_id} (server seed sealed)"


def _bet(bet: Bet) -> str:
    choice = "" if bet.choice is None else f", choice {compact(bet.choice)}"
    return f"{money(bet.stake, bet.currency)} at {bet.game_id} {bet.game_version}{choice}"


def _closed(closed: RoundClosed) -> str:
    return _ended(closed.state, closed.failure_code)


def _ended(state: str, failure_code: str | None) -> str:
    return f"{state}: {failure_code}" if failure_code else str(state)


def _marker_facts(marker: Any) -> dict[str, Any] | None:
    """The marker's own data, which the worker's core writes as plain JSON."""
    try:
        facts = json.loads(marker.details["data"].payloads[0].data)
    except (ValueError, IndexError):
        return None
    return facts if isinstance(facts, dict) else None


def _seconds_and_nanos(value: Any) -> datetime | None:
    match value:
        case {"seconds": int(seconds), "nanos": int(nanos)}:
            return _time(Timestamp(seconds=seconds, nanos=nanos))
    return None


def _workflow(event: HistoryEvent, what: str) -> Entry:
    return Entry(_time(event.event_time), Source.WORKFLOW, what)


def _step(event: HistoryEvent, what: str) -> Entry:
    return Entry(_time(event.event_time), Source.STEP, what)


def _time(at: Timestamp) -> datetime:
    return at.ToDatetime(tzinfo=UTC)


def _shown(at: Timestamp) -> str:
    return f"{_time(at):%Y-%m-%dT%H:%M:%S.%fZ}"


def _span(duration: Duration) -> str:
    seconds = duration.ToTimedelta().total_seconds()
    return f"{seconds:g} s"


def _name(enum: Any, value: int) -> str:
    """`TIMEOUT_TYPE_START_TO_CLOSE` as `start to close`: an enum's own name stands before its values."""
    prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum.DESCRIPTOR.name).lstrip("_")
    return str(enum.Name(value)).removeprefix(f"{prefix}_").replace("_", " ").lower()
