"""The feed: an operator's events in the order they were recorded, for readers that go on from where they were
and must not skip any.

An event's place in the outbox is given before its transaction commits, so a later place may be seen first. A
reader that had passed it would never come back for the earlier one. So nothing is served beyond the place up
to which all is known to be complete: no transaction that could still bring an earlier event is running.
"""

import asyncio
from typing import Final

import asyncpg

from contracts.events import RecordedEvent
from storage.outbox import recorded_event

# Of -id, as the operator's index has it and the primary key has not: see storage.tables.
PAGE: Final = """
    SELECT id, event_id, type, operator_id, game_id, subject, sequence, data::text AS data, occurred_at
    FROM outbox WHERE operator_id = $1 AND -id < -$2::bigint AND -id >= -$3::bigint
    ORDER BY -id DESC LIMIT $4
"""
# The newest event in sight and, if it is news, a transaction id that is younger than every transaction which
# had a place up to that one: the snapshot of the statement is older than the id it takes. (The snapshot's own
# xmax would not do: it is one more than the youngest transaction that has ended, and a younger one may be at
# work on an older place.) A transaction that took an id and wrote nothing costs no write.
NEWEST: Final = """
    SELECT place, CASE WHEN place > $1 THEN pg_current_xact_id()::text END AS younger
    FROM (SELECT coalesce(max(id), 0) AS place FROM outbox) newest
"""
LATEST: Final = "SELECT coalesce(max(id), 0) FROM outbox"
ENDED: Final = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8"

# The ledger's transactions take milliseconds. A request waits for those under way no longer than this, and
# gets what is complete; the next request goes on.
PATIENCE_S: Final = 1.0
PAUSE_S: Final = 0.005


class Feed:
    """Pages of the outbox by operator. The feed remembers up to which place the outbox is complete, so that a
    reader of earlier events does not wait."""

    def __init__(self, pool: asyncpg.Pool, *, patience_s: float = PATIENCE_S) -> None:
        self._pool = pool
        self._patience_s = patience_s
        self._complete_to = 0

    async def page(
        self, *, operator_id: str, after: int | None, limit: int
    ) -> tuple[list[RecordedEvent], int]:
        """At most `limit` events of the operator behind the place `after` (None: from the first), oldest
        first, and the place to go on from: that of the last event, or `after` itself when there is none."""
        after = after or 0
        rows = await self._read(operator_id, after, limit)
        if len(rows) < limit and await self._advanced():
            rows = await self._read(operator_id, after, limit)
        return [recorded_event(row) for row in rows], rows[-1]["id"] if rows else after

    async def end(self) -> int:
        """The place behind the last event, for a reader that wants only later ones. Raises TimeoutError when
        an earlier transaction does not end within the patience."""
        newest = await self._pool.fetchval(LATEST)
        await self._advanced()
        if self._complete_to < newest:
            raise TimeoutError("a transaction under way may yet bring an earlier event")
        return self._complete_to

    async def _read(self, operator_id: str, after: int, limit: int) -> list[asyncpg.Record]:
        if after >= self._complete_to:
            return []
        return list(await self._pool.fetch(PAGE, operator_id, after, self._complete_to, limit))

    async def _advanced(self) -> bool:
        """Returns whether more of the outbox is complete than before."""
        newest = await self._pool.fetchrow(NEWEST, self._complete_to)
        if newest["younger"] is None or not await self._ended(newest["younger"]):
            return False
        self._complete_to = max(self._complete_to, newest["place"])
        return True

    async def _ended(self, transaction_id: str) -> bool:
        """Returns whether every transaction older than that one has ended, within the patience."""
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while not await self._pool.fetchval(ENDED, transaction_id):
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(PAUSE_S)
        return True
