"""Every path through the webhooks' workflows: each is recorded once, and replayed for ever.

Records them anew: python -m tests.replay.webhook_paths [path ...]
"""

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from temporalio.client import Client, WorkflowHistory

from contracts.webhooks import AttemptResult, DispatchResult, Retries
from tests.replay import fingerprints
from tests.replay.record import without_private
from tests.support.temporal import steady_client, temporal_server
from tests.workflow.stage import heard, within
from tests.workflow.webhook_stage import Ended, WebhookStage
from workflows.webhooks import TURNS

HISTORIES: Final = Path(__file__).with_name("webhook_histories")
# Short pauses, for a recording waits for them; and patience only as short where it ends.
QUICK: Final = Retries(first_s=1, longest_s=1, patience_s=2)
PATIENT: Final = Retries(first_s=1, longest_s=1, patience_s=600)

WHAT_TO_DO: Final = """
A webhook's workflow no longer does on the path "{path}" what it did when that path was recorded.

If you did not mean to change its commands, undo the change: webhooks that are served when it is deployed, and
events that are being retried, could not go on. If you did, keep the old commands in the other branch of
`if workflow.patched("name-of-the-change")`, keep the old recording as {path}.before-name-of-the-change.json,
and record the path anew:  .venv/bin/python -m tests.replay.webhook_paths {path}
"""


async def sent_until_it_was_over(stage: WebhookStage) -> Ended:
    stage.steps.turns = [DispatchResult.GO_ON, None, DispatchResult.GO_ON]
    return await stage.send()


async def sent_and_gone_on_as_a_new_run(stage: WebhookStage) -> Ended:
    """The first of the two runs is what is kept: its last command is to go on."""
    stage.steps.turns = [DispatchResult.GO_ON] * TURNS
    ended = await stage.send()
    return Ended(status=ended.status, result=None, histories=ended.histories[:1])


async def delivered(stage: WebhookStage) -> Ended:
    return await stage.deliver(PATIENT)


async def delivered_in_the_end(stage: WebhookStage) -> Ended:
    stage.steps.failures = 1
    return await stage.deliver(PATIENT)


async def dead(stage: WebhookStage) -> Ended:
    stage.steps.failures = None
    return await stage.deliver(QUICK)


async def over(stage: WebhookStage) -> Ended:
    stage.steps.attempted = AttemptResult.OVER
    return await stage.deliver(PATIENT)


async def cancelled(stage: WebhookStage) -> Ended:
    stage.steps.hangs = True
    async with stage.working():
        handle = await stage.start_delivery(PATIENT)
        await within(stage.steps.reached)
        await handle.cancel()
        await heard(handle)
        return await stage.end(handle)


async def tested(stage: WebhookStage) -> Ended:
    return await stage.test()


PATHS: Final[dict[str, Callable[[WebhookStage], Awaitable[Ended]]]] = {
    path.__name__: path
    for path in (
        sent_until_it_was_over,
        sent_and_gone_on_as_a_new_run,
        delivered,
        delivered_in_the_end,
        dead,
        over,
        cancelled,
        tested,
    )
}


def recorded(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"webhook-{name}", (HISTORIES / f"{name}.json").read_text())


def commands(history: WorkflowHistory) -> list[str]:
    """What the workflow asked for, in order."""
    asked = fingerprints.commands(history)
    last = history.events[-1]
    goes_on = last.HasField("workflow_execution_continued_as_new_event_attributes")
    return [*asked, "continued as new"] if goes_on else asked


async def record(client: Client, name: str) -> None:
    ended = await PATHS[name](WebhookStage(client, name))
    history = without_private(json.loads(ended.history.to_json()))
    (HISTORIES / f"{name}.json").write_text(json.dumps(history, indent=1) + "\n")
    print(f"recorded {name}: {commands(recorded(name))}")  # noqa: T201 - a command's output


async def main(names: list[str]) -> None:
    HISTORIES.mkdir(exist_ok=True)
    async with temporal_server() as environment:
        client = await steady_client(environment)
        for name in names or PATHS:
            await record(client, name)


if __name__ == "__main__":
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    asyncio.run(main(sys.argv[1:]))
