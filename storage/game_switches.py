"""The switches of an operator's games, read by the statement that takes a bet."""

from typing import Final

import asyncpg

SWITCH: Final = """
    INSERT INTO game_switches (operator_id, game_id, enabled) VALUES ($1, $2, $3)
    ON CONFLICT (operator_id, game_id)
    DO UPDATE SET enabled = EXCLUDED.enabled, updated_at = clock_timestamp()
"""


async def switch(pool: asyncpg.Pool, *, operator_id: str, game_id: str, enabled: bool) -> None:
    """Switches a game. Bets that begin after this see it; rounds under way finish."""
    await pool.execute(SWITCH, operator_id, game_id, enabled)
