"""How a round takes a step: the short way first, the patient way when that did not do."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from contracts.failures import NON_RETRYABLE
from contracts.steps import Request, Result, Step
from workflows.policies import StepPolicy

T = TypeVar("T")


async def take(step: Step[Request, Result], request: Request, policy: StepPolicy) -> Result:
    """Runs `step` as a local activity and, if that ends in anything but an answer or a final refusal,
    again as a regular one: steps answer a repeat with what they stored. Raises FailureError when the step
    refused for good, when its patience ended, or when the workflow was cancelled."""
    result: Result
    try:
        result = await workflow.execute_local_activity(
            step.name,
            request,
            result_type=step.result_type,
            schedule_to_close_timeout=policy.short_limit,
            retry_policy=policy.short_retry,
        )
    except FailureError as failure:
        if is_cancelled_exception(failure) or _is_final(failure):
            raise
    else:
        return result
    result = await workflow.execute_activity(
        step.name,
        request,
        result_type=step.result_type,
        start_to_close_timeout=policy.attempt_limit,
        schedule_to_close_timeout=policy.patience,
        retry_policy=policy.retry,
    )
    return result


async def uninterrupted(step: Coroutine[Any, Any, T]) -> T:
    """Runs `step` to its end though the workflow be cancelled meanwhile."""
    task = asyncio.ensure_future(step)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            # Ours was interrupted, the shielded task was not: wait on.
            if task.cancelled():
                raise
    return task.result()


def _is_final(failure: FailureError) -> bool:
    # A failed local activity raises what the step raised, bare; a regular one wraps it in ActivityError.
    cause = failure.cause if isinstance(failure, ActivityError) else failure
    return isinstance(cause, ApplicationError) and (cause.non_retryable or cause.type in NON_RETRYABLE)
