"""The sweeper: publishes recorded events that no workflow got to the broker, and says how many wait, and how
many rounds wait for their operator's wallet.

A workflow emits its own event without end, so this is the second net: for a round whose workflow is gone
(terminated by hand, lost with an older copy of Temporal's data).
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import asyncpg
from prometheus_client import Counter, Gauge

from contracts.events import RecordedEvent
from events.broker import reason
from events.publisher import BrokerUnavailable, Publisher, PublishUncertain, Unroutable
from runtime.resources import open_resources
from runtime.settings import Settings
from storage import outbox
from storage.database import AWAY
from storage.settling import settling
from workers.lifecycle import run, serve_metrics

# Younger events belong to rounds that are still emitting by themselves.
OLDER_THAN_S: Final = 10.0
PAUSE_S: Final = 5.0
BATCH: Final = 100
PUBLISH_LIMIT_S: Final = 5.0

OUTBOX_WAITING: Final = Gauge("croupier_outbox_waiting", "Events that wait for the broker.")
OUTBOX_AGE_SECONDS: Final = Gauge("croupier_outbox_age_seconds", "Age of the oldest waiting event.")
EVENTS_SWEPT: Final = Counter("croupier_events_swept_total", "Events the sweeper had to publish.")
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
        serve_metrics(settings)
        while not stop.is_set():
            try:
                await sweep(resources.database.pool, resources.publisher)
            except AWAY as error:
                log.warning("the sweep failed and is repeated: %s", reason(error))
            await _pause(stop)


async def sweep(pool: asyncpg.Pool, publisher: Publisher, *, older_than_s: float = OLDER_THAN_S) -> int:
    """Publishes what waits, oldest first, batch by batch; returns how many the broker confirmed."""
    swept = 0
    while events := await outbox.waiting(pool, older_than_s=older_than_s, limit=BATCH):
        confirmed = await _publish_all(publisher, events)
        await outbox.mark_published(pool, confirmed)
        swept += len(confirmed)
        EVENTS_SWEPT.inc(len(confirmed))
        if len(confirmed) < len(events):
            break  # the broker is not well: the next sweep tries again
    backlog = await outbox.backlog(pool)
    OUTBOX_WAITING.set(backlog.waiting)
    OUTBOX_AGE_SECONDS.set(backlog.age_s)
    for call, found in (await settling(pool)).items():
        ROUNDS_SETTLING.labels(call.value).set(found.rounds)
        SETTLING_AGE_SECONDS.labels(call.value).set(found.age_s)
    LAST_SWEEP.set_to_current_time()
    if swept:
        log.warning("published %d events that no workflow had", swept)
    return swept


async def _publish_all(publisher: Publisher, events: Sequence[RecordedEvent]) -> list[str]:
    """The ids of those that were confirmed. Confirms pipeline, so all are sent at once."""
    outcomes = await asyncio.gather(*(_publish(publisher, event) for event in events))
    return [event.event_id for event, confirmed in zip(events, outcomes, strict=True) if confirmed]


async def _publish(publisher: Publisher, event: RecordedEvent) -> bool:
    try:
        await publisher.publish(event, timeout_seconds=PUBLISH_LIMIT_S)
    except (BrokerUnavailable, PublishUncertain, Unroutable) as error:
        log.warning("event %s was not confirmed: %s", event.event_id, reason(error))
        return False
    return True


async def _pause(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(PAUSE_S):
            await stop.wait()
    except TimeoutError:
        pass


if __name__ == "__main__":
    run(relay)
