"""What game clients tell of themselves: each event once by its player's own id for it."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from contracts.events import TellVerdict, Told

# Of one session within a minute.
TELL_LIMIT: Final = 300
TELL: Final = "SELECT verdict, event_id FROM record_game_events_v1($1, $2, $3, $4, $5)"


async def tell(
    pool: asyncpg.Pool,
    *,
    operator_id: str,
    player_key: int,
    session_id: str,
    events: Sequence[dict[str, Any]],
    limit: int = TELL_LIMIT,
) -> Told:
    """Records {event_id, type, at, data}, all of them or none; those told before do nothing and do not count
    towards the limit of the session."""
    row = await pool.fetchrow(TELL, operator_id, player_key, session_id, list(events), limit)
    return Told(TellVerdict(row["verdict"]), row["event_id"])
