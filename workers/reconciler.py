"""The third net: compares ledger, Temporal, events and operators' wallets, and repairs what it can.

A Temporal Schedule starts the runs, one at a time however many of these programs run. This program is their
worker, and makes sure that the Schedule exists.
"""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

import asyncpg
from prometheus_client import Gauge
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.incidents import IncidentSteps
from activities.lost_rounds import LostRounds
from activities.reconciliation import PATIENCE, EventChecks, Patience, RoundChecks
from activities.statements import StatementChecks
from contracts.reconciliation import (
    RECONCILE_QUEUE,
    RECONCILE_SCHEDULE,
    RECONCILE_WORKFLOW,
    IncidentKind,
)
from events import broker, topology
from events.broker import reason
from outbound.client import tls_context
from runtime import metrics
from runtime.past_rounds import PastRounds
from runtime.recovery import Recovery, close_if_behind
from runtime.resources import Resources, open_resources
from runtime.round_start import RoundStart
from runtime.round_workflows import RoundWorkflows
from runtime.services import required_secret
from runtime.settings import Settings
from runtime.temporal import certain_to_end, connect_temporal
from security.payload_codec import CANNOT_OPEN
from security.seeds import SeedVault
from security.standard_webhooks import PrivateKey
from storage import restores
from storage.database import AWAY
from storage.restores import LedgerState
from wallet import dialect
from wallet.directory import WalletVault
from workers import wallets
from workers.findings import CountedFindings
from workers.known_operators import known
from workers.lifecycle import run, serve_metrics
from workflows.reconcile import ReconcileWorkflow

# How soon a Schedule that was deleted, or that a new Temporal does not know, is made again.
SCHEDULE_CHECK_S: Final = 60.0
# Runs missed in an outage are not made up for: the next run finds what they would have found.
CATCH_UP: Final = timedelta(seconds=10)
# A run whose worker is gone for good must not keep the next ones from starting.
RUN_LIMIT: Final = timedelta(minutes=30)
GRACE: Final = timedelta(seconds=5)
BROKER_LIMIT_S: Final = 5.0
# Until a restored ledger is noticed, nobody plays on it.
RESTORE_CHECK_S: Final = 2.0

LEDGER_EPOCH: Final = Gauge(
    "croupier_ledger_epoch", "The ledger's epoch: it rises with each restore, and with each failover."
)

log = logging.getLogger(__name__)


async def reconcile(settings: Settings, stop: asyncio.Event) -> None:
    """Runs what the Schedule starts, until `stop`."""
    async with open_resources(settings, connections=4) as resources:
        client = await connect_temporal(settings, resources.keyring)
        async with kept_recovered(client, resources), running(client, resources):
            serve_metrics(settings)
            while not stop.is_set():
                await _ensure_schedule(client, settings.reconcile_every_s)
                with suppress(TimeoutError):
                    async with asyncio.timeout(SCHEDULE_CHECK_S):
                        await stop.wait()


@asynccontextmanager
async def kept_recovered(client: Client, resources: Resources) -> AsyncIterator[None]:
    """Recovers a ledger that was restored, before the block and while it runs. What does not answer is asked
    again."""
    pool, settings = resources.database.pool, resources.settings
    past = PastRounds(client)
    begins = RoundStart(client, resources.keyring, pool)
    workflows = RoundWorkflows(client, task_queue=settings.task_queue, begins=begins)
    recovery = Recovery(pool, past, workflows.restart, SeedVault(resources.keyring))
    await _recover(pool, past, recovery, thoroughly=True)

    async def keep() -> None:
        loop = asyncio.get_running_loop()
        compare_at = loop.time() + SCHEDULE_CHECK_S
        while True:
            await asyncio.sleep(RESTORE_CHECK_S)
            thoroughly = loop.time() >= compare_at
            await _recover(pool, past, recovery, thoroughly=thoroughly)
            if thoroughly:
                compare_at = loop.time() + SCHEDULE_CHECK_S

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


async def _recover(pool: asyncpg.Pool, past: PastRounds, recovery: Recovery, *, thoroughly: bool) -> None:
    """Whether the database says by itself that it was restored costs one statement; that Temporal is ahead of
    it is asked `thoroughly` alone."""
    try:
        if thoroughly:
            await close_if_behind(pool, past)
        if await restores.state(pool) is not LedgerState.OPEN:
            await recovery.recover(log.error)
        if thoroughly:
            await recovery.keep_known()
            LEDGER_EPOCH.set((await restores.last(pool)).number)
    except (*AWAY, RPCError, asyncpg.PostgresError, *CANNOT_OPEN) as error:
        log.warning("the ledger is compared with Temporal again soon: %s", reason(error))


@asynccontextmanager
async def running(
    client: Client, resources: Resources, patience: Patience = PATIENCE
) -> AsyncIterator[Worker]:
    """Runs reconciliation's worker."""
    pool, settings = resources.database.pool, resources.settings
    begins = RoundStart(client, resources.keyring, pool)
    workflows = RoundWorkflows(client, task_queue=settings.task_queue, begins=begins)
    rounds = RoundChecks(pool, workflows, patience)
    amqp_url = required_secret(settings.amqp_url, "amqp_url")
    events = EventChecks(
        pool, resources.publisher, functools.partial(_waiting_for_statistics, amqp_url), patience
    )
    vault = WalletVault(resources.keyring)
    statements = StatementChecks(
        pool,
        vault,
        dialect.load(),
        functools.cache(tls_context),
        patience,
        [PrivateKey(resources.keyring.events.signing_key())],
        metrics.OPERATORS.of,
    )
    operators = wallets.directory(resources)
    incidents = IncidentSteps(
        pool,
        resources.publisher,
        {
            IncidentKind.LOST_ROUND: LostRounds(pool, operators.wallets, statements, patience).review,
            IncidentKind.WORKFLOW_LOST: rounds.review,
            IncidentKind.WORKFLOW_FAILED: rounds.review,
            IncidentKind.STUCK: rounds.review,
            IncidentKind.EVENT_MISSING: events.review,
            IncidentKind.WALLET_DIFFERS: statements.review,
        },
    )
    worker = Worker(
        client,
        task_queue=RECONCILE_QUEUE,
        workflows=[ReconcileWorkflow],
        activities=[
            rounds.open_rounds,
            rounds.unanswered_bets,
            rounds.closed_workflows,
            events.events,
            statements.statements,
            incidents.open_incidents,
            incidents.announce,
        ],
        workflow_runner=UnsandboxedWorkflowRunner(),
        graceful_shutdown_timeout=GRACE,
        interceptors=[CountedFindings()],
    )
    async with (
        operators.kept_fresh(),
        known(pool, settings.metrics_operators, operators.wallets),
        certain_to_end(worker),
    ):
        yield worker


async def ensure_schedule(client: Client, every_s: int) -> None:
    """Makes the Schedule, or changes how often it runs. Raises RPCError while Temporal does not answer."""
    wanted = Schedule(
        action=ScheduleActionStartWorkflow(
            RECONCILE_WORKFLOW,
            id=RECONCILE_SCHEDULE,
            task_queue=RECONCILE_QUEUE,
            execution_timeout=RUN_LIMIT,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=every_s))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
    )
    try:
        await client.create_schedule(RECONCILE_SCHEDULE, wanted)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(RECONCILE_SCHEDULE)
        if (await handle.describe()).schedule.spec.intervals != wanted.spec.intervals:
            await handle.update(functools.partial(_with_spec, wanted.spec))


def _with_spec(spec: ScheduleSpec, found: ScheduleUpdateInput) -> ScheduleUpdate:
    """Changes only how often it runs: a Schedule that somebody has paused stays paused."""
    schedule = found.description.schedule
    schedule.spec = spec
    return ScheduleUpdate(schedule=schedule)


async def _ensure_schedule(client: Client, every_s: int) -> None:
    try:
        await ensure_schedule(client, every_s)
    except RPCError as error:
        log.warning("the schedule is checked again later: %s", error.status.name)


async def _waiting_for_statistics(amqp_url: str) -> int:
    """Over a connection of its own: once a minute is not worth keeping one. Raises LinkLost."""
    connection = await broker.connect(amqp_url, name="croupier reconciler")
    try:
        channel = await broker.open_channel(connection)
        with broker.link_errors_as_one():
            return await topology.waiting(channel, topology.STATISTICS, timeout_seconds=BROKER_LIMIT_S)
    finally:
        await broker.close_quietly(connection)


if __name__ == "__main__":
    run(reconcile)
