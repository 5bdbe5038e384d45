"""The feed: an operator's events in the order they were recorded, for readers that go on from where they were
and must not skip any.

An event's place in the outbox is given before its transaction commits, so a later place may be seen first. A
reader that had passed it would never come back for the earlier one. So nothing is served beyond the place up
to which all is known to be complete: no transaction that could still bring an earlier event is running. Those
are the ones that write to the outbox, and none else: what is open in another database of the server, or reads
for hours, holds nothing up.
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
# The transactions that write to the outbox. An INSERT locks its table before it is given its place, and the
# lock goes with the transaction's end, after which everybody sees what it wrote. So whoever has an earlier
# place than an event in sight, and has not ended, is among them. A transaction that is prepared changes its
# name to -1/..., so each of those counts as one that was seen before.
WRITERS: Final = """
    SELECT virtualtransaction AS transaction, pid FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted AND relation = 'outbox'::regclass
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
PREPARED: Final = "-1/"
LATEST: Final = "SELECT coalesce(max(id), 0) FROM outbox"
# The ledger's transactions take milliseconds. A request waits for those under way no longer than this, and
# gets what is complete; the next request goes on.
PATIENCE_S: Final = 1.0
PAUSE_S: Final = 0.005
# A webhook that is made waits longer, once.
END_PATIENCE_S: Final = 5.0


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
        """The place behind the last event, for a reader that wants only later ones. A transaction that has
        written to the outbox for longer than END_PATIENCE_S counts as earlier, whatever its place."""
        newest: int = await self._pool.fetchval(LATEST)
        if newest > self._complete_to and await self._settled(END_PATIENCE_S):
            self._complete_to = max(self._complete_to, newest)
        return max(self._complete_to, newest)

    async def _read(self, operator_id: str, after: int, limit: int) -> list[asyncpg.Record]:
        if after >= self._complete_to:
            return []
        return list(await self._pool.fetch(PAGE, operator_id, after, self._complete_to, limit))

    async def _advanced(self) -> bool:
        """Returns whether more of the outbox is complete than before."""
        newest: int = await self._pool.fetchval(LATEST)
        if newest <= self._complete_to or not await self._settled(self._patience_s):
            return False
        self._complete_to = max(self._complete_to, newest)
        return True

    async def _settled(self, patience_s: float) -> bool:
        """Returns whether every transaction that wrote to the outbox has ended, within the patience."""
        deadline = asyncio.get_running_loop().time() + patience_s
        writing = await self._writers()
        while writing:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(PAUSE_S)
            now = await self._writers()
            writing = {name for name in now if name in writing or name.startswith(PREPARED)}
        return True

    async def _writers(self) -> set[str]:
        return {row["transaction"] for row in await self._pool.fetch(WRITERS)}
