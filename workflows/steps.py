"""How a round takes a step when it could not be played in one go: as an activity of its own."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

from contracts.steps import Request, Result, Step
from workflows.policies import StepPolicy

T = TypeVar("T")


async def take(step: Step[Request, Result], request: Request, policy: StepPolicy) -> Result:
    """Runs `step` until it answers: a step answers a repeat with what it stored. Raises FailureError when
    it refused for good, when its patience ended, or when the workflow was cancelled."""
    result: Result = await workflow.execute_activity(
        step.name,
        request,
        result_type=step.result_type,
        start_to_close_timeout=policy.attempt_limit,
        schedule_to_close_timeout=policy.patience,
        heartbeat_timeout=policy.heartbeat,
        retry_policy=policy.retry,
    )
    return result


@dataclass(slots=True)
class Nudges:
    """How often a person has decided something about the round."""

    count: int = 0


async def take_or_nudge(
    step: Step[Request, Result], request: Request, policy: StepPolicy, nudges: Nudges
) -> Result:
    """Takes a step that is never given up; each nudge ends its pause and takes it again at once. An attempt
    that is under way then may still take effect: what follows finds it, as any repeat does."""
    while True:
        seen = nudges.count
        taking = asyncio.ensure_future(take(step, request, policy))
        await workflow.wait_condition(lambda: taking.done() or nudges.count > seen)  # noqa: B023
        if not taking.done():
            taking.cancel()
        try:
            return await taking
        except (FailureError, asyncio.CancelledError):
            if nudges.count == seen:
                raise


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
