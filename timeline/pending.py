"""What an open workflow waits for."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from types import MappingProxyType

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.converter import DataConverter

from contracts.failures import OF_A_WALLET, one_line
from timeline.payloads import failure_text
from timeline.values import shown
from timeline.wording import moment


async def pending(
    description: WorkflowExecutionDescription,
    converter: DataConverter,
    since: Mapping[str, datetime] = MappingProxyType({}),
) -> AsyncIterator[str]:
    """What an open workflow waits for. A closed one may still list what it never came to hear of. `since` has
    when each activity was asked for, by its id, where the history was read."""
    raw = description.raw_description
    if description.status is not WorkflowExecutionStatus.RUNNING:
        return
    for activity in raw.pending_activities:
        asked = since.get(activity.activity_id)
        yield await _pending_step(activity, converter, description.id, asked)
    if raw.HasField("pending_workflow_task"):
        task = raw.pending_workflow_task
        if task.HasField("started_time"):
            yield f"a worker has the workflow since {shown(task.started_time)}, attempt {task.attempt}"
        else:
            scheduled = shown(task.scheduled_time)
            yield f"the workflow waits for a worker since {scheduled}, attempt {task.attempt}"


async def _pending_step(
    activity: PendingActivityInfo, converter: DataConverter, workflow_id: str, asked: datetime | None
) -> str:
    doing = f"{one_line(activity.activity_type.name)} {_doing(activity, workflow_id, asked)}"
    if not activity.HasField("last_failure"):
        return doing
    return f"{doing}; the last one failed: {await failure_text(converter, activity.last_failure)}"


def _doing(activity: PendingActivityInfo, workflow_id: str, asked: datetime | None) -> str:
    if activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED:
        return f"attempt {activity.attempt} runs since {shown(activity.last_started_time)}"
    since = "" if asked is None else f" since {moment(asked)}"
    follows = activity.HasField("next_attempt_schedule_time")
    at = f" at {shown(activity.next_attempt_schedule_time)}" if follows else ""
    if activity.last_failure.application_failure_info.type in OF_A_WALLET:
        operator = workflow_id.partition(":")[0]
        return f"waits for the wallet of {operator}{since}, attempt {activity.attempt}{at}"
    return f"waits for attempt {activity.attempt}{at}" + (f",{since}" if since else "")
