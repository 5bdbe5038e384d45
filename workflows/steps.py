"""How a workflow takes a step: locally on the fast path, as an activity of its own on the durable one."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

from contracts.steps import Request, Result, Step
from workflows import policies, words
from workflows.policies import StepPolicy

T = TypeVar("T")

# Marks the histories of rounds that were ended while their game was away.
ENDS_WHILE_RESOLVING: Final = "ends-while-resolving"


def take_locally(step: Step[Request, Result], request: Request) -> Coroutine[Any, Any, Result]:
    """Takes `step` on the fast path: once, in this process, within policies.FAST_PATH_LIMIT. Raises
    FailureError when it failed or took too long, and when the workflow was cancelled; it may have taken
    effect nevertheless."""
    return workflow.execute_local_activity(
        step.name,
        request,
        result_type=step.result_type,
        schedule_to_close_timeout=policies.FAST_PATH_LIMIT,
        retry_policy=policies.ONE_ATTEMPT,
    )


async def take(step: Step[Request, Result], request: Request, policy: StepPolicy) -> Result:
    """Takes `step` on the durable path until it answers; a step answers a repeat with what it stored. Raises
    FailureError when it refused for good, when its patience ended, or when the workflow was cancelled."""
    with words.waiting(words.attempted(step.name, request)):
        result: Result = await workflow.execute_activity(
            step.name,
            request,
            result_type=step.result_type,
            start_to_close_timeout=policy.attempt_limit,
            schedule_to_close_timeout=policy.patience,
            heartbeat_timeout=policy.heartbeat,
            retry_policy=policy.retry,
            summary=words.summary(request),
        )
    return result


@dataclass(slots=True)
class Wakes:
    """How often a manual intervention has woken the round."""

    count: int = 0


async def take_without_end(
    step: Step[Request, Result], request: Request, policy: StepPolicy, wakes: Wakes
) -> Result:
    """Takes a step that is never given up. Each wake ends its pause and takes it again at once. An attempt
    that is under way then may still take effect; the next attempt finds it, as any repeat does."""
    while True:
        seen = wakes.count
        taking = asyncio.ensure_future(take(step, request, policy))
        await workflow.wait_condition(lambda: taking.done() or wakes.count > seen)  # noqa: B023
        if not taking.done():
            taking.cancel()
        try:
            return await taking
        except (FailureError, asyncio.CancelledError):
            if wakes.count == seen:
                raise


async def take_until(
    step: Step[Request, Result], request: Request, policy: StepPolicy, over: Callable[[], bool]
) -> Result | None:
    """As `take`, but returns None as soon as it is `over`: the step's answer is needed no more."""
    taking = asyncio.ensure_future(take(step, request, policy))
    try:
        await workflow.wait_condition(lambda: taking.done() or over())
    except asyncio.CancelledError:
        taking.cancel()
        return await taking
    # A round that was open before there was an end to this wait goes on as it began.
    if taking.done() or not workflow.patched(ENDS_WHILE_RESOLVING):
        return await taking
    taking.cancel()
    try:
        return await taking
    except (FailureError, asyncio.CancelledError):
        return None


async def uninterrupted(step: Coroutine[Any, Any, T]) -> T:
    """Runs `step` to its end, also when the workflow is cancelled meanwhile."""
    task = asyncio.ensure_future(step)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            # The wait was interrupted, the shielded task was not.
            if task.cancelled():
                raise
    return task.result()
