"""The textbook saga on Temporal: four regular activities, `execute_workflow`, the worker of the samples.

- The worker has the SDK's defaults: sandboxed workflows, its pollers, slots and cache. The workflow stands in
  a module of its own that passes its imports through, as the SDK's guide to its sandbox advises.
- Payloads have the default converter. The textbook has no encryption, and leaving it out is in the saga's
  favour.
- Each activity has a start-to-close timeout and the default retry policy.
- Ingress and worker share one process and one client, which is the cheapest arrangement on one machine.
- It needs a server whose queue of transfers is not held back. A shard reads that queue at most 20 times a
  second by default (history.transferProcessorMaxPollRPS), and the embedded server has a single shard: five
  dispatches of a round then take 250 ms whatever the machine, where a cluster's many shards would not notice.
  An eager start passes the queue by, so the product and the floor do not show it.
- A repeat of a round's id joins its workflow while it runs, and is refused by Temporal afterwards: both are
  one option of the start and cost nothing.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.worker import Worker

from bench.peers.front import Bets, Front, serve
from bench.peers.saga_activities import SagaActivities
from bench.peers.saga_workflow import SagaRound
from bench.peers.steps import Closed, Steps
from contracts.rounds import Bet
from games.registry import Registry
from runtime.resources import open_resources
from runtime.settings import Settings, SettingsError
from workers.lifecycle import run

TASK_QUEUE: Final = "bench-saga"


async def play(client: Client, bet: Bet) -> Closed:
    return await client.execute_workflow(
        SagaRound.run,
        bet,
        id=f"saga:{bet.key.workflow_id}",
        task_queue=TASK_QUEUE,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )


async def main(settings: Settings, stop: asyncio.Event) -> None:
    if settings.temporal_address is None:
        raise SettingsError("setting temporal_address (CROUPIER_TEMPORAL_ADDRESS) is missing")
    registry = Registry.load(settings.games)
    async with open_resources(settings) as resources:
        client = await Client.connect(settings.temporal_address, namespace=settings.temporal_namespace)
        steps = SagaActivities(Steps.over(resources, registry))
        activities: list[Callable[..., Any]] = [
            steps.reserve,
            steps.resolve,
            steps.settle,
            steps.release,
            steps.emit,
        ]
        async with Worker(client, task_queue=TASK_QUEUE, workflows=[SagaRound], activities=activities):
            front = Front(Bets.of(resources, registry), lambda bet: play(client, bet))
            await serve(front, settings, stop)


if __name__ == "__main__":
    run(main)
