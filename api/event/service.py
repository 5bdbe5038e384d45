"""Events: those that game clients report, and an operator's feed."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from contracts.events import RecordedEvent, ReportResult
from contracts.sessions import SessionClaims
from storage import game_events
from storage.feed import Feed


class EventFeed:
    """An operator's events, oldest first, over HTTP instead of the broker."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._feed = Feed(pool)

    async def page(
        self, *, operator_id: str, after: int | None, limit: int
    ) -> tuple[list[RecordedEvent], int]:
        """At most `limit` events behind `after`, and where to go on: at the end, the same place again."""
        return await self._feed.page(operator_id=operator_id, after=after, limit=limit)


class GameEvents:
    """Events that game clients report."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def record(self, claims: SessionClaims, events: Sequence[dict[str, Any]]) -> ReportResult:
        """Records {event_id, type, at, data} for the session's player, all or none, each once."""
        return await game_events.record(
            self._pool,
            operator_id=claims.operator_id,
            player_key=claims.player_key,
            session_id=claims.session_id,
            events=events,
        )
