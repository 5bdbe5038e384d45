"""The switches of an operator's games, read by the statement that takes a bet."""

from typing import Final

import asyncpg

from contracts.audit import By, Kind
from storage.audit import entry, recording

SWITCH: Final = recording(
    """
    INSERT INTO game_switches (operator_id, game_id, enabled) VALUES ($1, $2, $3)
    ON CONFLICT (operator_id, game_id)
    DO UPDATE SET enabled = EXCLUDED.enabled, updated_at = clock_timestamp()
    RETURNING enabled
    """,
    parameters=3,
)


async def switch(pool: asyncpg.Pool, *, operator_id: str, game_id: str, enabled: bool, by: By) -> None:
    """Switches a game. Bets that begin after this see it; rounds under way finish."""
    kind = Kind.GAME_ENABLED if enabled else Kind.GAME_DISABLED
    noted = entry(kind, by, operator_id=operator_id, subject=game_id)
    await pool.execute(SWITCH, operator_id, game_id, enabled, *noted)
