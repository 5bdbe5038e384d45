"""A downstream consumer: adds up rounds, stakes and wins for each game from the events alone."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import asyncpg
from prometheus_client import Counter, Gauge

from events import topology
from events.catalogue import ROUND_SETTLED, RoundEvent
from events.consumer import Consumer
from runtime.metrics import at_zero
from runtime.services import connect_database, load_keyring, required_secret
from runtime.settings import Settings
from security.signatures import SignatureVerifier
from storage import statistics
from storage.database import AWAY
from storage.statistics import RoundFact
from workers.lifecycle import run, serve_metrics

EVENTS_APPLIED: Final = Counter(
    "croupier_statistics_events_total", "Events seen by the consumer: `fresh` or `repeated`.", ["outcome"]
)
LAG_SECONDS: Final = Gauge(
    "croupier_consumer_lag_seconds",
    "How old the oldest event in hand is, or was when it was applied; 0 when none came lately.",
    ["queue"],
)
# How long a batch waits for company: each costs a statement and a commit, and totals may be a moment old.
LINGER_S: Final = 0.1
# How long the age of the last events says how far behind the consumer is: longer than its longest pause.
LATELY_S: Final = 15.0


async def consume(settings: Settings, stop: asyncio.Event) -> None:
    """Consumes until `stop`; the batch in hand is finished."""
    keyring = load_keyring(settings)
    database = await connect_database(settings, connections=2)
    lag = Lag(time.time)
    at_zero(EVENTS_APPLIED, ("fresh", "repeated"))
    LAG_SECONDS.labels(topology.STATISTICS.name).set_function(lag.seconds)
    consumer = Consumer(
        required_secret(settings.amqp_url, "amqp_url"),
        queue=topology.STATISTICS,
        parse=RoundEvent.parse,
        handler=lambda events: _apply(database.pool, events, lag),
        transient=AWAY,  # waited out with the messages in hand
        verifier=SignatureVerifier(keyring.events.public_keys()),
        linger_seconds=LINGER_S,
    )
    try:
        consumer.start()
        serve_metrics(settings)
        await _first_of(stop, consumer)
    finally:
        await consumer.stop()
        await database.close()


async def _apply(pool: asyncpg.Pool, events: Sequence[RoundEvent], lag: "Lag") -> None:
    with lag.of(min(event.occurred_at for event in events)):
        fresh = await statistics.apply(pool, [_fact(event) for event in events])
    EVENTS_APPLIED.labels("fresh").inc(fresh)
    EVENTS_APPLIED.labels("repeated").inc(len(events) - fresh)


class Lag:
    """How far behind a consumer is, by the age of the oldest event in hand. `now_s` is seconds since 1970."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._in_hand_since: float | None = None
        self._last_s = self._last_at = 0.0

    @contextmanager
    def of(self, occurred_at: str) -> Iterator[None]:
        """While the block runs, events are in hand of which the oldest is of `occurred_at` (RFC 3339; what is
        no time counts as now)."""
        try:
            self._in_hand_since = datetime.fromisoformat(occurred_at).timestamp()
        except ValueError:
            self._in_hand_since = self._now_s()
        try:
            yield
        finally:
            self._last_at = self._now_s()
            self._last_s = max(self._last_at - self._in_hand_since, 0.0)
            self._in_hand_since = None

    def seconds(self) -> float:
        since, now_s = self._in_hand_since, self._now_s()
        if since is not None:
            return max(now_s - since, 0.0)
        return self._last_s if now_s - self._last_at < LATELY_S else 0.0


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
