"""The Temporal worker that runs rounds: the workflow and its steps on one task queue."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    Worker,
)

from activities.events import EventActivities
from activities.games import GameActivities
from activities.interventions import InterventionActivities
from activities.money import MoneyActivities
from activities.play import PlayActivities
from contracts.rounds import RoundKey
from contracts.views import RoundView
from games.registry import Registry
from hosting.health import GameHealth
from runtime import metrics
from runtime.resources import Resources
from runtime.search_attributes import unread
from runtime.temporal import certain_to_end
from security.seeds import SeedVault
from wallet.directory import WalletDirectory
from wallet.ledger import LedgerSteps
from wallet.retired_seeds import RetiredSeeds
from wallet.router import MoneyRouter
from workflows.round import RoundWorkflow

# Workflows kept in memory between tasks. The fast path needs none; the durable path does.
CACHED_WORKFLOWS: Final = 200
CONCURRENT_STEPS: Final = 200
# The next task of a round on the durable path waits this long for the worker that has it in memory, before
# any other takes it: how long a killed worker can hold one back.
STICKY_LIMIT: Final = timedelta(seconds=2)
# On a clean shutdown, steps under way may finish for this long; the rest runs again elsewhere.
GRACE: Final = timedelta(seconds=5)


@asynccontextmanager
async def running(
    client: Client,
    resources: Resources,
    registry: Registry,
    operators: WalletDirectory,
    deliver: Callable[[RoundView], None],
    health: GameHealth | None = None,
    left: Callable[[RoundKey], None] = lambda key: None,
) -> AsyncIterator[Worker]:
    """A worker that runs. `operators` has the wallets of those who have one. `deliver` hears of every round
    that closes in this process, `left` of every one that may close in another from now on, `health` of how
    its games do.

    Workflows run outside the SDK's sandbox: an import contract keeps I/O out of them and replays of
    recorded histories keep them deterministic, while the sandbox would cost almost half again the CPU of
    a round. The tests run them sandboxed.

    They run on the event loop, which the SDK calls debug mode: handing each activation to a thread and back
    took 7% of a lone round's latency. What is given up is the watch over workflow code that never returns;
    this workflow only awaits its steps, and the tests run it with that watch.
    """
    pool = resources.database.pool
    vault = SeedVault(resources.keyring)
    ledger = LedgerSteps(pool, RetiredSeeds(pool, vault))
    money = MoneyActivities(MoneyRouter(ledger, operators.wallets), deliver)
    games = GameActivities(registry, vault, health or GameHealth(GameMetrics()))
    events = EventActivities(pool, resources.publisher)
    play = PlayActivities(money, games.resolve, events.emit_now, _observe, left)
    interventions = InterventionActivities(pool)
    worker = Worker(
        client,
        task_queue=resources.settings.task_queue,
        workflows=[RoundWorkflow],
        activities=[
            *play.activities,
            *money.activities,
            *(games.resolve, events.emit, interventions.intervene),
        ],
        workflow_runner=UnsandboxedWorkflowRunner(),
        debug_mode=True,
        max_cached_workflows=CACHED_WORKFLOWS,
        sticky_queue_schedule_to_start_timeout=STICKY_LIMIT,
        max_concurrent_workflow_tasks=CONCURRENT_STEPS,
        max_concurrent_local_activities=CONCURRENT_STEPS,
        max_concurrent_activities=CONCURRENT_STEPS,
        graceful_shutdown_timeout=GRACE,
        interceptors=[DurableSteps()],
    )
    try:
        async with certain_to_end(unread(worker)):
            yield worker
    finally:
        await events.close()


class DurableSteps(Interceptor):
    """Times the steps of the durable path. The fast path, a local activity, times its own."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return next if activity.info().is_local else _Timed(next)


class _Timed(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        since = time.perf_counter()
        result = await super().execute_activity(input)
        took_s = time.perf_counter() - since
        metrics.of_step(activity.info().activity_type, metrics.DURABLE).observe(took_s)
        return result


class GameMetrics:
    """A hosting.health.HealthWatch that counts for Prometheus."""

    def failed(self, game_id: str) -> None:
        metrics.GAME_FAILURES.labels(game_id).inc()

    def healthy(self, game_id: str, version: str, *, healthy: bool) -> None:
        metrics.GAME_HEALTHY.labels(game_id, version).set(healthy)


def _observe(step: str, took_us: int) -> None:
    metrics.of_step(step).observe(took_us / 1_000_000)
