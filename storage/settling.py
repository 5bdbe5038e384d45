"""Rounds whose end is decided here and not yet taken by their operator's wallet: how many, and since when."""

from dataclasses import dataclass
from typing import Final

import asyncpg

from contracts.wallet import WalletCall

# Reads the indexes of wallet bets without an end, and one round for each of them.
SETTLING: Final = """
    SELECT (SELECT p.operator_id FROM players p WHERE p.id = b.player_key) AS operator_id,
           CASE WHEN b.releasing THEN 'rollback' ELSE 'win' END AS call,
           count(DISTINCT (b.player_key, b.round_id)) AS rounds,
           extract(epoch FROM clock_timestamp() - min(b.asked_at))::float8 AS age_s
    FROM (
        SELECT player_key, round_id, asked_at, releasing FROM wallet_bets WHERE resolved_at IS NULL
        UNION ALL
        SELECT player_key, round_id, asked_at, true FROM wallet_action_bets
        WHERE outcome IS NULL AND releasing
    ) b
    WHERE (b.releasing OR 'settling' = (
        SELECT r.state FROM rounds r WHERE r.round_id = b.round_id AND r.player_key = b.player_key))
    GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Settling:
    """How many rounds of an operator wait for its wallet to take a call, and how many seconds ago the oldest
    of them was bet."""

    operator_id: str
    call: WalletCall
    rounds: int
    age_s: float


async def settling(pool: asyncpg.Pool) -> list[Settling]:
    """Rounds that wait for their wallet, by operator and by the call that it has to take: a win, or a
    rollback."""
    return [
        Settling(row["operator_id"], WalletCall(row["call"]), row["rounds"], row["age_s"])
        for row in await pool.fetch(SETTLING)
    ]
