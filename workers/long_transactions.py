"""Names the transactions that keep the feed, and so webhooks, from their end, or PostgreSQL from cleaning
up."""

import logging
from collections.abc import Callable, Iterable
from typing import Final

import asyncpg
from prometheus_client import Gauge

from storage import transactions
from storage.database import COMMAND_TIMEOUT_S
from storage.transactions import OpenTransaction

TRANSACTION_AGE: Final = Gauge(
    "croupier_transaction_age_seconds",
    "How long a transaction has been open that holds up the `feed`, or the `vacuum` of the whole server.",
    ["holds", "database", "pid", "application"],
)
FEED_LAG: Final = Gauge(
    "croupier_feed_lag_seconds",
    "How long a transaction that writes to the outbox has kept the feed from its end; 0 when none does.",
)
# The longest ones: a label of each is a number that nobody counts by.
NAMED: Final = 10

log = logging.getLogger(__name__)


class LongTransactions:
    """Those that have been seen for longer than a statement of ours may take. How long is known from here
    alone: of another role's transaction PostgreSQL says only that it is there."""

    def __init__(self, clock: Callable[[], float], *, longer_than_s: float = COMMAND_TIMEOUT_S) -> None:
        self._clock = clock
        self._longer_than_s = longer_than_s
        self._since: dict[str, float] = {}
        self._named: set[str] = set()

    async def check(self, pool: asyncpg.Pool) -> None:
        """Sets the gauges, and logs each of them once."""
        found = await transactions.open_transactions(pool)
        now = self._clock()
        self._since = {one.transaction: self._since.get(one.transaction, now) for one in found}
        self._named &= self._since.keys()
        long = [one for one in found if now - self._since[one.transaction] >= self._longer_than_s]
        FEED_LAG.set(max((now - self._since[one.transaction] for one in long if one.holds_feed), default=0))
        self._show(sorted(long, key=lambda one: self._since[one.transaction])[:NAMED], now)

    def _show(self, long: Iterable[OpenTransaction], now: float) -> None:
        TRANSACTION_AGE.clear()
        for one in long:
            holds = "feed" if one.holds_feed else "vacuum"
            series = TRANSACTION_AGE.labels(holds, one.database, str(one.pid or ""), one.application)
            series.set(now - self._since[one.transaction])
            self._name(one)

    def _name(self, one: OpenTransaction) -> None:
        if one.transaction in self._named:
            return
        self._named.add(one.transaction)
        what = (
            "a transaction on the outbox does not end, and the feed and webhooks wait for it"
            if one.holds_feed
            else "a transaction does not end, and no database of this server is cleaned up meanwhile"
        )
        log.warning(
            "%s: pid %s, application %r, database %s: end it with pg_terminate_backend",
            *(what, one.pid, one.application, one.database),
        )
