"""Sends events to operators' webhooks: the worker of their workflows, and the loop that starts those.

Any number of these programs may run: Temporal runs one workflow of an id, and every write names the cursor
that it began from."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

import asyncpg
from prometheus_client import Gauge
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.webhook_endpoints import Endpoints
from activities.webhooks import DELIVERIES, OUTCOMES, PACE, Pace, WebhookSteps
from contracts.webhooks import WEBHOOK_QUEUE, WEBHOOK_TEST_QUEUE, Retries
from events.broker import reason
from runtime import metrics
from runtime.services import connect_database, load_keyring
from runtime.settings import Settings
from runtime.temporal import certain_to_end, connect_temporal
from runtime.webhook_workflows import WebhookWorkflows
from security.keyring import Keyring
from security.standard_webhooks import PrivateKey
from security.webhook_secrets import WebhookVault
from storage import webhooks as stored
from storage.database import AWAY, Database
from storage.feed import Feed
from workers.known_operators import known
from workers.lifecycle import run, serve_metrics
from workflows.webhooks import DeliveryWorkflow, WebhookTestWorkflow, WebhookWorkflow

START_EVERY_S: Final = 1.0
# A webhook whose last turn is this long ago has lost its workflow: the longest pause of one is a minute.
IDLE: Final = timedelta(minutes=3)
HANDED_OVER: Final = 100
COUNT_EVERY_S: Final = 15.0
# How long after an event's last attempt its workflow must have ended.
GRACE: Final = timedelta(hours=1)
# A webhook takes one slot nearly all the time, and each event that is retried one now and then.
ACTIVITIES: Final = 500
# The SDK would hold heartbeats back for four fifths of the time after which an activity counts as dead.
BEAT: Final = timedelta(seconds=2)
STOP_LIMIT: Final = timedelta(seconds=8)

PENDING: Final = Gauge("croupier_webhook_events_pending", "Events that are being retried.")
DEAD: Final = Gauge("croupier_webhook_events_dead", "Events that were given up, and not replayed.")
LAG_SECONDS: Final = Gauge(
    "croupier_webhook_lag_seconds",
    "The age of the oldest event that a webhook of the operator has not come to; 0 when all have.",
    ["operator"],
)

log = logging.getLogger(__name__)


async def send(settings: Settings, stop: asyncio.Event) -> None:
    """Sends until `stop`."""
    keyring = load_keyring(settings)
    database = await connect_database(settings, connections=8)
    try:
        client = await connect_temporal(settings, keyring)
        async with (
            known(database.pool, settings.metrics_operators),
            running(client, database, keyring, settings),
        ):
            metrics.OPERATORS.follow(lambda one: metrics.at_zero(DELIVERIES, [one], OUTCOMES))
            serve_metrics(settings)
            await stop.wait()
    finally:
        await database.close()


@asynccontextmanager
async def running(
    client: Client,
    database: Database,
    keyring: Keyring,
    settings: Settings,
    pace: Pace = PACE,
    *,
    activities: int = ACTIVITIES,
) -> AsyncIterator[None]:
    """Sends events and tests while the block runs: `activities` at once of each."""
    endpoints = Endpoints(local=settings.webhooks_local)
    steps = WebhookSteps(
        database.pool,
        Feed(database.pool),
        WebhookVault(keyring),
        endpoints,
        PrivateKey(keyring.events.signing_key()),
        pace,
        metrics.OPERATORS.of,
    )
    sending = _worker(client, steps, WEBHOOK_QUEUE, activities)
    testing = _worker(client, steps, WEBHOOK_TEST_QUEUE, activities)
    retries = Retries(
        first_s=settings.webhook_retry_first_s,
        longest_s=settings.webhook_retry_longest_s,
        patience_s=settings.webhook_retry_for_s,
    )
    async with aclosing(endpoints), aclosing(steps), certain_to_end(sending), certain_to_end(testing):
        starting = asyncio.create_task(
            _keep_starting(database.pool, WebhookWorkflows(client, retries), retries)
        )
        try:
            yield
        finally:
            starting.cancel()
            with suppress(asyncio.CancelledError):
                await starting
            # At the same time, for each may take the whole limit.
            await asyncio.gather(sending.shutdown(), testing.shutdown())


def _worker(client: Client, steps: WebhookSteps, task_queue: str, activities: int) -> Worker:
    """Both work for all workflows: an ingress of an earlier release gives tests to the queue of events."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[WebhookWorkflow, DeliveryWorkflow, WebhookTestWorkflow],
        activities=[steps.dispatch, steps.attempt, steps.dead_letter, steps.test],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_activities=activities,
        max_heartbeat_throttle_interval=BEAT,
        graceful_shutdown_timeout=STOP_LIMIT,
    )


async def _keep_starting(pool: asyncpg.Pool, workflows: WebhookWorkflows, retries: Retries) -> None:
    """Starts, once a second, the workflows that are missing."""
    loop = asyncio.get_running_loop()
    counted_at = loop.time() - COUNT_EVERY_S
    while True:
        try:
            await start_missing(pool, workflows)
            if loop.time() - counted_at >= COUNT_EVERY_S:
                counted_at = loop.time()
                await _count(pool, retries)
        except (*AWAY, RPCError) as error:
            log.warning("webhooks are checked again later: %s", reason(error))
        await asyncio.sleep(START_EVERY_S)


async def start_missing(pool: asyncpg.Pool, workflows: WebhookWorkflows) -> None:
    """Starts the workflows of webhooks that have none, and of failed events that have none."""
    for key in await stored.idle(pool, since=IDLE):
        await workflows.send(key)
    for delivery in await stored.to_hand_over(pool, limit=HANDED_OVER):
        await workflows.deliver(delivery)
        await stored.handed_over(pool, delivery)


async def _count(pool: asyncpg.Pool, retries: Retries) -> None:
    lost = await stored.dead_letter_lost(pool, after=timedelta(seconds=retries.patience_s) + GRACE)
    if lost:
        log.warning("%d events whose workflows are gone are dead", lost)
    found = await stored.counts(pool)
    PENDING.set(found["pending"])
    DEAD.set(found["dead"])
    _show_lags(await stored.lags(pool))


def _show_lags(lags: Iterable[stored.Lag]) -> None:
    """Of operators that share a label, the longest."""
    found = dict.fromkeys(metrics.OPERATORS.labels(), 0.0)
    for lag in lags:
        label = metrics.OPERATORS.of(lag.operator_id)
        found[label] = max(found.get(label, 0.0), lag.lag_s)
    for label, lag_s in found.items():
        LAG_SECONDS.labels(label).set(lag_s)


if __name__ == "__main__":
    run(send)
