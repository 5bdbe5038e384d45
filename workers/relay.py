"""The relay: publishes recorded events that no workflow publishes, and counts those that wait, and the rounds
that wait for their operator's wallet.

A round's workflow emits its own event without end. For these events the relay is the second net, for a round
whose workflow is gone (terminated by hand, lost with an older copy of Temporal's data). Of all other events,
such as those of deposits and sessions, the relay is the publisher.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
from prometheus_client import Counter, Gauge

from contracts.events import RecordedEvent
from events.broker import reason
from events.catalogue import ROUND_SETTLED, ROUND_VOID
from events.publisher import BrokerUnavailable, Publisher, PublishUncertain, Unroutable
from runtime.resources import open_resources
from runtime.settings import Settings
from storage import outbox
from storage.database import AWAY
from storage.settling import settling
from workers import disk
from workers.held_feed import HeldFeed
from workers.lifecycle import run, serve_metrics

# Younger events of these types belong to rounds that are still emitting by themselves.
OF_WORKFLOWS: Final = frozenset({ROUND_SETTLED, ROUND_VOID})
OLDER_THAN_S: Final = 10.0
PAUSE_S: Final = 0.5
# After a sweep that could not publish all, and between two checks of what waits.
LONG_PAUSE_S: Final = 5.0
BATCH: Final = 100
BATCHES: Final = 50  # of one sweep, so that a flood of events does not keep the gauges from being set
PUBLISH_LIMIT_S: Final = 5.0

OUTBOX_WAITING: Final = Gauge("croupier_outbox_waiting", "Events that wait for the broker.")
OUTBOX_AGE_SECONDS: Final = Gauge("croupier_outbox_age_seconds", "Age of the oldest waiting event.")
EVENTS_RELAYED: Final = Counter(
    "croupier_events_relayed_total", "Events that the relay published, as it should."
)
EVENTS_SWEPT: Final = Counter("croupier_events_swept_total", "Events that no workflow had.")
EVENTS_UNWANTED: Final = Counter(
    "croupier_events_unwanted_total", "Events that no queue wanted. They are in the feed.", ["type"]
)
ROUNDS_SETTLING: Final = Gauge(
    "croupier_rounds_settling",
    "Rounds whose win or rollback their operator's wallet has not taken.",
    ["call"],
)
SETTLING_AGE_SECONDS: Final = Gauge(
    "croupier_rounds_settling_age_seconds", "How long ago the oldest of these rounds was bet.", ["call"]
)
LAST_SWEEP: Final = Gauge("croupier_last_sweep_timestamp_seconds", "When a sweep last came to its end.")

log = logging.getLogger(__name__)


async def relay(settings: Settings, stop: asyncio.Event) -> None:
    """Sweeps until `stop`."""
    async with open_resources(settings, connections=2) as resources:
        disk.show(settings.home)
        serve_metrics(settings)
        clock = asyncio.get_running_loop().time
        check_at, held_feed = clock(), HeldFeed(clock)
        while not stop.is_set():
            pause_s = LONG_PAUSE_S
            try:
                result = await sweep(resources.database.pool, resources.publisher)
                if clock() >= check_at:
                    await check_backlog(resources.database.pool)
                    await held_feed.check(resources.database.pool)
                    check_at = clock() + LONG_PAUSE_S
                pause_s = PAUSE_S if result.all_confirmed else LONG_PAUSE_S
            except AWAY as error:
                log.warning("the sweep failed and is repeated: %s", reason(error))
            await _pause(stop, pause_s)


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The result of a sweep: how many events are done with, and whether those are all that were tried."""

    confirmed: int
    all_confirmed: bool


async def sweep(
    pool: asyncpg.Pool, publisher: Publisher, *, older_than_s: float = OLDER_THAN_S
) -> SweepResult:
    """Publishes what waits, oldest first, batch by batch; of the events of workflows those that are older. An
    event that cannot be published keeps its place, and none of the later ones."""
    published = 0
    unusable: set[str] = set()
    for _ in range(BATCHES):
        events = await outbox.waiting(pool, older_than_s=older_than_s, limit=BATCH, but=unusable)
        if not events:
            break
        outcome = await _publish_all(publisher, events)
        await outbox.mark_published(pool, [event.event_id for event in outcome.confirmed])
        published += len(outcome.confirmed)
        unusable |= outcome.unusable
        _count(outcome.confirmed)
        if not outcome.broker_is_well:
            return SweepResult(published, all_confirmed=False)  # the next sweep tries again
    return SweepResult(published, all_confirmed=not unusable)


async def check_backlog(pool: asyncpg.Pool) -> None:
    """Sets the gauges of what waits."""
    backlog = await outbox.backlog(pool)
    OUTBOX_WAITING.set(backlog.waiting)
    OUTBOX_AGE_SECONDS.set(backlog.age_s)
    for call, found in (await settling(pool)).items():
        ROUNDS_SETTLING.labels(call.value).set(found.rounds)
        SETTLING_AGE_SECONDS.labels(call.value).set(found.age_s)
    LAST_SWEEP.set_to_current_time()


def _count(confirmed: Sequence[RecordedEvent]) -> None:
    late = sum(event.type in OF_WORKFLOWS for event in confirmed)
    EVENTS_RELAYED.inc(len(confirmed) - late)
    EVENTS_SWEPT.inc(late)
    if late:
        log.warning("published %d events that no workflow had", late)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a batch: the events that are done with, the ids of those that cannot be published, and
    whether the broker confirmed all others."""

    confirmed: list[RecordedEvent]
    unusable: set[str]
    broker_is_well: bool


async def _publish_all(publisher: Publisher, events: Sequence[RecordedEvent]) -> _Outcome:
    """Confirms pipeline, so all are sent at once."""
    errors = await asyncio.gather(*(_error(publisher, event) for event in events))
    failed = [(event, error) for event, error in zip(events, errors, strict=True) if error is not None]
    if failed:
        event, error = failed[0]
        first = f"event {event.event_id}: {reason(error)}"
        log.warning("%d of %d events were not confirmed, the first: %s", len(failed), len(events), first)
    of_the_broker = (BrokerUnavailable, PublishUncertain)
    return _Outcome(
        confirmed=[event for event, error in zip(events, errors, strict=True) if error is None],
        unusable={event.event_id for event, error in failed if not isinstance(error, of_the_broker)},
        broker_is_well=not any(isinstance(error, of_the_broker) for _, error in failed),
    )


async def _error(publisher: Publisher, event: RecordedEvent) -> Exception | None:
    """Publishes the event; why it is not done with, or None. The end of a round always has a taker, the
    statistics. Any other event that no queue wants has been offered, and is in the feed."""
    try:
        await publisher.publish(event, timeout_seconds=PUBLISH_LIMIT_S)
    except Unroutable as error:
        if event.type in OF_WORKFLOWS:
            return error
        EVENTS_UNWANTED.labels(event.type).inc()
    except Exception as error:  # noqa: BLE001 - one event that nobody foresaw must not keep the others
        return error
    return None


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


if __name__ == "__main__":
    run(relay)
