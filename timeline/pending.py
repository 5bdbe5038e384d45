"""What an open workflow waits for."""

from collections.abc import AsyncIterator

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.converter import DataConverter

from contracts.failures import one_line
from timeline.payloads import failure_text
from timeline.values import shown


async def pending(description: WorkflowExecutionDescription, converter: DataConverter) -> AsyncIterator[str]:
    """What an open workflow waits for. A closed one may still list what it never came to hear of."""
    raw = description.raw_description
    if description.status is not WorkflowExecutionStatus.RUNNING:
        return
    for activity in raw.pending_activities:
        yield await _pending_step(activity, converter)
    if raw.HasField("pending_workflow_task"):
        task = raw.pending_workflow_task
        if task.HasField("started_time"):
            yield f"a worker has the workflow since {shown(task.started_time)}, attempt {task.attempt}"
        else:
            since = shown(task.scheduled_time)
            yield f"the workflow waits for a worker since {since}, attempt {task.attempt}"


async def _pending_step(activity: PendingActivityInfo, converter: DataConverter) -> str:
    step = one_line(activity.activity_type.name)
    if activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED:
        doing = f"attempt {activity.attempt} runs since {shown(activity.last_started_time)}"
    else:
        doing = f"waits for attempt {activity.attempt}"
        if activity.HasField("next_attempt_schedule_time"):
            doing += f" at {shown(activity.next_attempt_schedule_time)}"
    if not activity.HasField("last_failure"):
        return f"{step} {doing}"
    return f"{step} {doing}; the last one failed: {await failure_text(converter, activity.last_failure)}"
