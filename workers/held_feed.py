"""Names the transactions that keep the feed, and so webhooks, from their end."""

import logging
from collections.abc import Callable
from typing import Final

import asyncpg
from prometheus_client import Gauge

from storage import feed
from storage.database import COMMAND_TIMEOUT_S

FEED_HELD: Final = Gauge(
    "croupier_feed_held_seconds",
    "How long a transaction that writes to the outbox has kept the feed from its end.",
    ["pid", "application"],
)

log = logging.getLogger(__name__)


class HeldFeed:
    """Those that have been seen for longer than a statement of ours may take. How long is known from here
    alone: of another role's transaction PostgreSQL says only that it is there."""

    def __init__(self, clock: Callable[[], float], *, longer_than_s: float = COMMAND_TIMEOUT_S) -> None:
        self._clock = clock
        self._longer_than_s = longer_than_s
        self._since: dict[str, float] = {}
        self._named: set[str] = set()

    async def check(self, pool: asyncpg.Pool) -> None:
        """Sets the gauge, and logs each of them once."""
        writers = await feed.writers(pool)
        now = self._clock()
        self._since = {writer.transaction: self._since.get(writer.transaction, now) for writer in writers}
        self._named &= self._since.keys()
        FEED_HELD.clear()
        for writer in writers:
            age_s = now - self._since[writer.transaction]
            if age_s >= self._longer_than_s:
                FEED_HELD.labels(str(writer.pid or ""), writer.application).set(age_s)
                self._name(writer)

    def _name(self, writer: feed.Writer) -> None:
        if writer.transaction not in self._named:
            self._named.add(writer.transaction)
            log.warning(
                "a transaction on the outbox does not end: pid %s, application %r. The feed and webhooks wait"
                " for it: end it with pg_terminate_backend",
                writer.pid,
                writer.application,
            )
