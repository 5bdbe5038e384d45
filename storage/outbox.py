"""The outbox: reading events that wait for the broker, and marking those it has confirmed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from contracts.events import RecordedEvent

_COLUMNS = (
    "event_id, type, operator_id, game_id, subject, sequence, data::text AS data, occurred_at, published_at"
)
FIND: Final = f"SELECT {_COLUMNS} FROM outbox WHERE event_id = $1"  # noqa: S608 - a constant above
# Rounds publish their own ends, so the younger ones are left to them. All other events are the relay's at
# once.
WAITING: Final = (
    f"SELECT {_COLUMNS} FROM outbox WHERE published_at IS NULL "  # noqa: S608
    "AND (occurred_at < $1 OR type NOT IN ('round.settled', 'round.void')) "
    "AND event_id <> ALL($3) ORDER BY id LIMIT $2"
)
MARK: Final = (
    "UPDATE outbox SET published_at = clock_timestamp() WHERE event_id = ANY($1) AND published_at IS NULL"
)
BACKLOG: Final = (
    "SELECT count(*) AS waiting, "
    "coalesce(extract(epoch FROM clock_timestamp() - min(occurred_at)), 0)::float8 AS age_s "
    "FROM outbox WHERE published_at IS NULL"
)


async def find(pool: asyncpg.Pool, event_id: str) -> tuple[RecordedEvent, bool] | None:
    """The event and whether the broker has confirmed it, or None when there is none of that id."""
    row = await pool.fetchrow(FIND, UUID(event_id))
    return None if row is None else (recorded_event(row), row["published_at"] is not None)


async def waiting(
    pool: asyncpg.Pool, *, older_than_s: float, limit: int, but: Collection[str] = ()
) -> Sequence[RecordedEvent]:
    """At most `limit` unpublished events, oldest first, without those whose ids are in `but`; of those that
    rounds publish by themselves, the ones that are older than `older_than_s` seconds."""
    before = datetime.now(UTC) - timedelta(seconds=older_than_s)
    rows = await pool.fetch(WAITING, before, limit, [UUID(event_id) for event_id in but])
    return [recorded_event(row) for row in rows]


async def mark_published(pool: asyncpg.Pool, event_ids: Sequence[str]) -> None:
    """Marks events as published. Call it after the broker's confirm. A repeat does nothing."""
    await pool.execute(MARK, [UUID(event_id) for event_id in event_ids])


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many events wait for the broker, and the oldest one's age (0 when none waits)."""

    waiting: int
    age_s: float


async def backlog(pool: asyncpg.Pool) -> Backlog:
    row = await pool.fetchrow(BACKLOG)
    return Backlog(row["waiting"], row["age_s"])


def recorded_event(row: Mapping[str, Any]) -> RecordedEvent:
    return RecordedEvent(
        event_id=str(row["event_id"]),
        type=row["type"],
        operator_id=row["operator_id"],
        game_id=row["game_id"],
        subject=row["subject"],
        sequence=row["sequence"],
        occurred_at=occurred_at(row["occurred_at"]),
        data=row["data"],
    )


def occurred_at(moment: datetime) -> str:
    """A moment in the form of events: RFC 3339 in UTC, with microseconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
