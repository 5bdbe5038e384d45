"""A player's statement: the postings on the player's accounts, page by page from the newest."""

from typing import Final

import asyncpg

from contracts.movements import StatementEntry, StatementFilter

# A page of each of the player's few wallets, which an index gives in order, and of these the newest: so the
# earlier entries of a wallet that is used often do not stand in the way of one that is not.
PAGE: Final = """
    SELECT e.* FROM accounts a CROSS JOIN LATERAL (
        SELECT t.position, t.kind, t.reference,
               CASE t.debit_account WHEN a.id THEN -t.amount ELSE t.amount END AS amount,
               t.currency, t.available_after AS balance, t.created_at
        FROM transfers t
        WHERE t.player_key = $1 AND t.currency = a.currency
          AND t.created_at >= coalesce($3::timestamptz, '-infinity')
          AND t.created_at < coalesce($4::timestamptz, 'infinity')
          AND (t.created_at, t.position) < (
              coalesce((SELECT c.created_at FROM transfers c WHERE c.player_key = $1 AND c.position = $5),
                       'infinity'),
              coalesce($5::bigint, 9223372036854775807))
        ORDER BY t.created_at DESC, t.position DESC LIMIT $6
    ) e
    WHERE a.player_key = $1 AND ($2::text IS NULL OR a.currency = $2)
    ORDER BY e.created_at DESC, e.position DESC LIMIT $6
"""


async def page(
    pool: asyncpg.Pool, wanted: StatementFilter, *, before: int | None, limit: int
) -> tuple[list[StatementEntry], int | None]:
    """At most `limit` entries, newest first, and the position that the next page begins before (None after
    the last one)."""
    rows = await pool.fetch(
        PAGE, wanted.player_key, wanted.currency, wanted.since, wanted.until, before, limit + 1
    )
    entries = [StatementEntry(**dict(row)) for row in rows[:limit]]
    return entries, entries[-1].position if len(rows) > limit else None
