"""What Temporal and the broker say of themselves: queues, the reconciliation's Schedule, workflows without a
row."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import aio_pika.exceptions
from aio_pika.abc import AbstractConnection
from temporalio.client import Client, ScheduleDescription
from temporalio.service import RPCError, RPCStatusCode

from contracts.failures import one_line
from contracts.reconciliation import RECONCILE_SCHEDULE, round_key
from contracts.rounds import RoundKey
from contracts.steps import ROUND_WORKFLOW
from contracts.views import Tenant, operator_or_none
from events import broker
from events.commands import COMMANDS
from events.topology import STATISTICS
from overview.model import Kind, Stuck
from timeline.wording import minute

LIMIT_S: Final = 5.0
RPC_LIMIT: Final = timedelta(seconds=LIMIT_S)
# A run a minute, each of some seconds.
RUNS_WITHIN: Final = timedelta(minutes=10)
LISTED: Final = 200
CONSUMED: Final = {
    STATISTICS.name: "python -m workers.statistics",
    COMMANDS.name: "an ingress with commands_prefetch above 0",
}
DEAD: Final = (STATISTICS.dead_name, COMMANDS.dead_name)


def away(service: str, why: str) -> Stuck:
    """A service that does not answer."""
    return Stuck(
        kind=Kind.SERVICE,
        subject=service,
        why=one_line(f"{service} does not answer: {why}."),
        waits_for=f"{service}.",
        next="./croupier status, and the service's log",
    )


@dataclass(frozen=True, slots=True)
class Depth:
    """Messages that wait in a queue, and how many consume from it."""

    messages: int
    consumers: int


async def queues(amqp_url: str) -> list[Stuck]:
    """Queues with dead letters, and those that nobody consumes. Raises LinkLost when the broker does not
    answer."""
    connection = await broker.connect(amqp_url, name="croupier stuck")
    try:
        found = [one async for one in _queues(connection)]
    finally:
        await broker.close_quietly(connection)
    return found


async def _queues(connection: AbstractConnection) -> AsyncIterator[Stuck]:
    for name in DEAD:
        depth = await _depth(connection, name)
        if depth is not None and depth.messages:
            yield _dead(name, depth.messages)
    for name, consumer in CONSUMED.items():
        depth = await _depth(connection, name)
        if depth is not None and depth.messages and not depth.consumers:
            yield _unconsumed(name, depth.messages, consumer)


async def _depth(connection: AbstractConnection, name: str) -> Depth | None:
    """None for a queue that was never declared, which closes the channel that asked."""
    channel = await broker.open_channel(connection, confirms=False)
    try:
        with broker.link_errors_as_one():
            found = await channel.declare_queue(name, passive=True, timeout=LIMIT_S)
    except broker.LinkLost as lost:
        if aio_pika.exceptions.ChannelNotFoundEntity.__name__ in str(lost):
            return None
        raise
    finally:
        await broker.close_quietly(channel)
    counted = found.declaration_result
    return Depth(counted.message_count or 0, counted.consumer_count or 0)


def _dead(name: str, messages: int) -> Stuck:
    return Stuck(
        kind=Kind.QUEUE,
        subject=name,
        why=f"{messages:,} messages could not be used, and are dead letters.",
        waits_for="a person: each message has its reason in the header croupier-reason.",
        next=f"read the first one of {name}: docs/sre/runbooks/dead-letters.md has how",
    )


def _unconsumed(name: str, messages: int, consumer: str) -> Stuck:
    return Stuck(
        kind=Kind.QUEUE,
        subject=name,
        why=f"{messages:,} messages wait, and nobody consumes them.",
        waits_for=f"{consumer}.",
        next="./croupier status",
    )


async def reconciliation(client: Client, now: datetime, *, older_than: timedelta) -> list[Stuck]:
    """What is wrong with the runs, if anything is; one takes some seconds, and never `older_than`. Raises
    RPCError when Temporal does not answer."""
    try:
        found = await client.get_schedule_handle(RECONCILE_SCHEDULE).describe(rpc_timeout=RPC_LIMIT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return [_unreconciled("Temporal has no schedule for it: no reconciler was ever started", None)]
        raise
    if found.schedule.state.paused:
        return [_paused(found.schedule.state.note)]
    return [_unreconciled(why, since) for why, since in _what_is_wrong(found, now, older_than)]


def _what_is_wrong(
    found: ScheduleDescription, now: datetime, longest: timedelta
) -> Iterator[tuple[str, datetime | None]]:
    runs = found.info.recent_actions
    last = runs[-1].started_at if runs else found.info.created_at
    late = max([RUNS_WITHIN, *(2 * spec.every for spec in found.schedule.spec.intervals)])
    if found.info.running_actions and now - last > longest:
        yield f"the run that began at {minute(last)} does not end", last
    elif now - last > late:
        yield f"the last run began at {minute(last)}", last


def _paused(note: str | None) -> Stuck:
    toggle = f"./croupier temporal schedule toggle --schedule-id {RECONCILE_SCHEDULE} --unpause --reason TEXT"
    return Stuck(
        kind=Kind.RECONCILIATION,
        subject=RECONCILE_SCHEDULE,
        why=one_line(f"Nothing is reconciled: its Schedule is paused{f' ({note})' if note else ''}."),
        waits_for="whoever has paused it.",
        next=toggle,
    )


def _unreconciled(why: str, since: datetime | None) -> Stuck:
    return Stuck(
        kind=Kind.RECONCILIATION,
        subject=RECONCILE_SCHEDULE,
        since=since,
        why=one_line(f"Nothing is reconciled: {why}."),
        waits_for="a reconciler (python -m workers.reconciler).",
        next="./croupier status, and the reconciler's log",
    )


async def running_rounds(client: Client, tenant: Tenant, before: datetime) -> list[RoundKey]:
    """Rounds whose workflows began before and run, at most LISTED of the newest. Raises RPCError."""
    query = (
        f'WorkflowType = "{ROUND_WORKFLOW}" AND ExecutionStatus = "Running"'
        f' AND StartTime < "{before.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"'
    )
    if (operator_id := operator_or_none(tenant)) is not None:
        query += f' AND WorkflowId STARTS_WITH "{operator_id}:"'
    listed = client.list_workflows(query, page_size=LISTED, rpc_timeout=RPC_LIMIT)
    await listed.fetch_next_page()
    return [round_key(execution.id) for execution in listed.current_page or ()]
