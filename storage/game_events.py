"""Events that game clients report: each is recorded once, by its player's own id for it."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from contracts.events import ReportResult, ReportVerdict

# How many events one session may report within a minute.
EVENTS_A_MINUTE: Final = 300
RECORD: Final = "SELECT verdict, event_id FROM record_game_events_v1($1, $2, $3, $4, $5)"


async def record(
    pool: asyncpg.Pool,
    *,
    operator_id: str,
    player_key: int,
    session_id: str,
    events: Sequence[dict[str, Any]],
    limit: int = EVENTS_A_MINUTE,
) -> ReportResult:
    """Records events {event_id, type, at, data}, all of them or none. Those reported before do nothing and do
    not count towards the session's limit."""
    row = await pool.fetchrow(RECORD, operator_id, player_key, session_id, list(events), limit)
    return ReportResult(ReportVerdict(row["verdict"]), row["event_id"])
