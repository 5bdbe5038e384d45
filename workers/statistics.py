"""A downstream consumer: adds up rounds, stakes and wins for each game from the events alone."""

import asyncio
from collections.abc import Sequence
from typing import Final

import asyncpg
from prometheus_client import Counter

from events import topology
from events.catalogue import ROUND_SETTLED, RoundEvent
from events.consumer import Consumer
from runtime.resources import connect_database, load_keyring, required_secret
from runtime.settings import Settings
from security.signatures import SignatureVerifier
from storage import statistics
from storage.database import AWAY
from storage.statistics import RoundFact
from workers.lifecycle import run, serve_metrics

EVENTS_APPLIED: Final = Counter("croupier_statistics_events_total", "Events seen by the consumer.", ["kind"])


async def consume(settings: Settings, stop: asyncio.Event) -> None:
    """Consumes until `stop`; the batch in hand is finished."""
    keyring = load_keyring(settings)
    database = await connect_database(settings, connections=2)
    consumer = Consumer(
        required_secret(settings.amqp_url, "amqp_url"),
        queue=topology.STATISTICS,
        parse=RoundEvent.parse,
        handler=lambda events: _apply(database.pool, events),
        transient=AWAY,  # waited out with the messages in hand
        verifier=SignatureVerifier(keyring.events.public_keys()),
    )
    try:
        consumer.start()
        serve_metrics(settings)
        await _first_of(stop, consumer)
    finally:
        await consumer.stop()
        await database.close()


async def _apply(pool: asyncpg.Pool, events: Sequence[RoundEvent]) -> None:
    fresh = await statistics.apply(pool, [_fact(event) for event in events])
    EVENTS_APPLIED.labels("fresh").inc(fresh)
    EVENTS_APPLIED.labels("repeated").inc(len(events) - fresh)


def _fact(event: RoundEvent) -> RoundFact:
    return RoundFact(
        event_id=event.event_id,
        operator_id=event.operator_id,
        game_id=event.game_id,
        currency=event.stake.currency,
        settled=event.type == ROUND_SETTLED,
        stake=event.stake.amount,
        win=event.win.amount,
    )


async def _first_of(stop: asyncio.Event, consumer: Consumer[RoundEvent]) -> None:
    """Returns at `stop`; raises what ended the consumer before it."""
    stopping = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(consumer.wait())
    done, pending = await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


if __name__ == "__main__":
    run(consume)
