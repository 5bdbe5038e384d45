"""What Temporal costs by itself: a workflow that does nothing, started eagerly, on the product's worker.

The worker's settings, the encryption and the options of the start are the product's. No step touches a table
or the broker, so the answer is the same for every bet.

The request waits in this process, on a future that the workflow completes: the product answers in process
too, and asking Temporal for the result would add a long poll that the product does not make. As the product's
answer comes before Temporal has recorded the workflow's end, so does this one.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from temporalio import workflow
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from bench.peers.front import Bets, Front, serve
from bench.peers.steps import Closed
from contracts.rounds import Bet, RoundState
from contracts.steps import ROUND_TASK_TIMEOUT
from games.registry import Registry
from runtime.resources import open_resources
from runtime.round_workflows import START_TIMEOUT
from runtime.settings import Settings
from runtime.temporal import connect_temporal
from workers.lifecycle import run
from workers.round_worker import CACHED_WORKFLOWS, CONCURRENT_STEPS, GRACE, STICKY_LIMIT

TASK_QUEUE: Final = "bench-floor"

# Workflows run on the worker's threads, so each hands its end back to the loop that waits for it. Outside
# the sandbox a workflow can reach this table; nothing but a measurement should.
_waiting: Final[dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]]] = {}


@workflow.defn(name="Floor")
class EmptyRound:
    @workflow.run
    async def run(self, bet: Bet) -> None:
        waiting = _waiting.pop(workflow.info().workflow_id, None)
        if waiting is not None:
            loop, ended = waiting
            loop.call_soon_threadsafe(_complete, ended)


def _complete(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


async def play(client: Client, bet: Bet) -> Closed:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    workflow_id = f"floor:{bet.key.workflow_id}"
    _waiting[workflow_id] = (loop, ended)
    try:
        await client.start_workflow(
            EmptyRound.run,
            bet,
            id=workflow_id,
            task_queue=TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            task_timeout=ROUND_TASK_TIMEOUT,
            request_eager_start=True,
            rpc_timeout=START_TIMEOUT,
        )
        await ended
    finally:
        _waiting.pop(workflow_id, None)
    return Closed(
        round_id=bet.key.round_id,
        state=RoundState.SETTLED,
        currency=bet.currency,
        win=0,
        balance=None,
        outcome=None,
        event_id=None,
        failure_code=None,
    )


async def main(settings: Settings, stop: asyncio.Event) -> None:
    registry = Registry.load(settings.games)
    async with open_resources(settings, connections=1) as resources:
        client = await connect_temporal(settings, resources.keyring)
        worker = Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[EmptyRound],
            workflow_runner=UnsandboxedWorkflowRunner(),
            workflow_task_executor=ThreadPoolExecutor(max_workers=4, thread_name_prefix="workflow"),
            max_cached_workflows=CACHED_WORKFLOWS,
            sticky_queue_schedule_to_start_timeout=STICKY_LIMIT,
            max_concurrent_workflow_tasks=CONCURRENT_STEPS,
            graceful_shutdown_timeout=GRACE,
        )
        async with worker:
            front = Front(Bets.of(resources, registry), lambda bet: play(client, bet))
            await serve(front, settings, stop)


if __name__ == "__main__":
    run(main)
