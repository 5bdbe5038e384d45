"""How many rounds are open now, each of which holds its stake, and for how long: by operator and state."""

from dataclasses import dataclass
from typing import Final

import asyncpg

# Reads what is open, by the index of what is open. A round that plays on after an action of its player is as
# old as that action: it may have waited for hours before.
OPEN: Final = """
    SELECT r.operator_id, r.state, count(*) AS rounds,
           extract(epoch FROM clock_timestamp() - min(
               CASE WHEN r.actions > 0 AND r.state <> 'awaiting_choice' THEN
                   (SELECT max(a.taken_at) FROM round_actions a
                    WHERE a.player_key = r.player_key AND a.round_id = r.round_id)
               ELSE r.created_at END))::float8 AS age_s
    FROM rounds r WHERE r.state IN ('pending', 'awaiting_choice', 'settling') GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class OpenRounds:
    """Rounds of one operator in one state, and the age of the oldest in seconds."""

    operator_id: str
    state: str
    rounds: int
    age_s: float


async def open_rounds(pool: asyncpg.Pool) -> list[OpenRounds]:
    return [OpenRounds(**row) for row in await pool.fetch(OPEN)]
