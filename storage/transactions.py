"""Transactions that keep others from going on: the feed from its end, or PostgreSQL from cleaning up.

The second is a matter of the whole server: while a transaction of any of its databases has a snapshot or has
written, no database removes row versions that it might see.
"""

# ruff: noqa: S608 - the statement is put together from a constant

from dataclasses import dataclass
from typing import Final

import asyncpg

from storage.feed import WRITERS

# Each transaction holds a lock on its own name, which everybody may see, as one may see whose connection it
# is and whether it has a snapshot or has written. When it began, PostgreSQL shows to few: not to our role.
# What has no user (autovacuum) holds nothing up.
OPEN: Final = f"""
    WITH writers AS MATERIALIZED ({WRITERS})
    SELECT l.virtualtransaction AS transaction, a.pid, coalesce(a.datname, '') AS database,
           coalesce(a.application_name, '') AS application,
           l.virtualtransaction IN (SELECT transaction FROM writers) AS holds_feed
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted
      AND a.usesysid IS NOT NULL
      AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL
           OR l.virtualtransaction IN (SELECT transaction FROM writers))
      AND a.pid <> pg_backend_pid()
    UNION ALL
    SELECT transaction, NULL, current_database(), '', true FROM writers WHERE pid IS NULL
    UNION ALL
    SELECT 'prepared ' || transaction, NULL, database, '', false FROM pg_prepared_xacts
"""


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that holds something up. `pid` is None for one that is prepared; `holds_feed` says that
    it writes to our outbox."""

    transaction: str
    pid: int | None
    database: str
    application: str
    holds_feed: bool


async def open_transactions(pool: asyncpg.Pool) -> list[OpenTransaction]:
    """Those of every database of the server, whoever they belong to; one statement of ours is among them only
    by chance, and gone a moment later."""
    return [OpenTransaction(**row) for row in await pool.fetch(OPEN)]
