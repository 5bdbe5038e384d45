"""Every path through a run of reconciliation: each is recorded once, and replayed for ever.

Records them anew: python -m tests.replay.reconcile_paths [path ...]
"""

import asyncio
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from temporalio import activity
from temporalio.client import Client, WorkflowHistory
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from contracts.reconciliation import EVENTS, OPEN_ROUNDS, RECONCILE_WORKFLOW, STEPS, Page, PageResult
from runtime.temporal import certain_to_end
from tests.replay import fingerprints
from tests.replay.record import without_private
from tests.support.temporal import steady_client, temporal_server
from workflows.reconcile import ReconcileWorkflow

HISTORIES: Final = Path(__file__).with_name("reconcile_histories")
WHAT_TO_DO: Final = """
A run of reconciliation no longer does on the path "{path}" what it did when that path was recorded.

If you did not mean to change its commands, undo the change. If you did, put the new ones behind
`if workflow.patched("name-of-the-change")`, for a run may be under way when the code is deployed; keep the
old recording as {path}.before-name-of-the-change.json, and record the path anew:
.venv/bin/python -m tests.replay.reconcile_paths {path}
"""
Answer = Callable[[str, Page], PageResult]


def page_by_page(step: str, page: Page) -> PageResult:
    """One check has a second page."""
    return PageResult(looked_at=1, cursor="2" if step == OPEN_ROUNDS.name and page.cursor is None else None)


def goes_on_after_a_check_that_failed(step: str, page: Page) -> PageResult:
    if step == EVENTS.name:
        raise ApplicationError("away", non_retryable=True)
    return PageResult(looked_at=1)


PATHS: Final[dict[str, Answer]] = {
    path.__name__: path for path in (page_by_page, goes_on_after_a_check_that_failed)
}


async def run(client: Client, name: str, run_id: str) -> WorkflowHistory:
    """The history of a run whose checks answer as the path says."""
    worker = Worker(
        client,
        task_queue=f"reconcile-{run_id}",
        workflows=[ReconcileWorkflow],
        activities=[_activity(step.name, PATHS[name]) for step in STEPS],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with certain_to_end(worker):
        handle = await client.start_workflow(RECONCILE_WORKFLOW, id=run_id, task_queue=worker.task_queue)
        await handle.result()
        return await handle.fetch_history()


def _activity(name: str, answer: Answer) -> Callable[[Page], Any]:
    @activity.defn(name=name)
    async def check(page: Page) -> PageResult:
        return answer(name, page)

    return check


def recorded(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"reconcile-{name}", (HISTORIES / f"{name}.json").read_text())


async def main(names: list[str]) -> None:
    HISTORIES.mkdir(exist_ok=True)
    async with temporal_server() as environment:
        client = await steady_client(environment)
        for name in names or PATHS:
            history = await run(client, name, name.replace("_", "-"))
            text = json.dumps(without_private(json.loads(history.to_json())), indent=1)
            (HISTORIES / f"{name}.json").write_text(text + "\n")
            print(f"recorded {name}: {fingerprints.commands(recorded(name))}")  # noqa: T201 - a command's output


if __name__ == "__main__":
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    asyncio.run(main(sys.argv[1:]))
