"""The statistics consumer's side of the database: its inbox and what it adds up, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

CONSUMER: Final = "statistics"

# One statement for a whole batch: events already in the inbox, and repeats inside the batch, add nothing.
# Nor do those that a restore of the ledger has lost: the broker may still have them.
APPLY: Final = """
    WITH arrived AS (
        SELECT DISTINCT ON (event_id) *
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bigint[], $7::bigint[])
             AS t (event_id, operator_id, game_id, currency, settled, stake, win)
        WHERE NOT EXISTS (SELECT FROM ledger_epochs WHERE gap > 0)
           OR EXISTS (SELECT FROM outbox o WHERE o.event_id = t.event_id)
    ), fresh AS (
        INSERT INTO inbox (consumer, event_id)
        SELECT 'statistics', event_id FROM arrived ORDER BY event_id
        ON CONFLICT DO NOTHING RETURNING event_id
    ), sums AS (
        SELECT operator_id, game_id, currency,
               count(*) FILTER (WHERE settled) AS rounds, count(*) FILTER (WHERE NOT settled) AS voids,
               coalesce(sum(stake) FILTER (WHERE settled), 0) AS stake,
               coalesce(sum(win) FILTER (WHERE settled), 0) AS win
        FROM arrived JOIN fresh USING (event_id)
        GROUP BY operator_id, game_id, currency
    ), added AS (
        INSERT INTO game_statistics AS g (operator_id, game_id, currency, rounds, voids, stake, win)
        SELECT * FROM sums ORDER BY operator_id, game_id, currency
        ON CONFLICT (operator_id, game_id, currency) DO UPDATE SET
            rounds = g.rounds + excluded.rounds, voids = g.voids + excluded.voids,
            stake = g.stake + excluded.stake, win = g.win + excluded.win
    )
    SELECT count(*) FROM fresh
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFact:
    """The statistics' part of one closed round. Amounts are in minor units of `currency`."""

    event_id: str
    operator_id: str
    game_id: str
    currency: str
    settled: bool  # False: void
    stake: int
    win: int


async def apply(pool: asyncpg.Pool, facts: Sequence[RoundFact]) -> int:
    """Adds up the facts that are new to the inbox, all or none. Returns how many those were."""
    columns = (
        [UUID(fact.event_id) for fact in facts],
        [fact.operator_id for fact in facts],
        [fact.game_id for fact in facts],
        [fact.currency for fact in facts],
        [fact.settled for fact in facts],
        [fact.stake for fact in facts],
        [fact.win for fact in facts],
    )
    fresh: int = await pool.fetchval(APPLY, *columns)
    return fresh
