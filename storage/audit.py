"""What an audit of the hash chains reads: every transfer with the facts that stand and fall with it."""

from collections.abc import AsyncIterator
from typing import Final

import asyncpg

from storage.invariants import STATEMENT_TIMEOUT_S

LENGTH: Final = """
    SELECT count(*) AS players, coalesce(sum(chain_length), 0)::bigint AS links
    FROM players WHERE $1::text IS NULL OR player_id = $1
"""
# A player without transfers gives one row of nulls, so that a chain that vanished is noticed too. A link's
# postings are its two sides; a stake's link stands for the round that was settled with it, and for its win.
LINKS: Final = """
    SELECT p.id AS player_key, p.operator_id, p.player_id, p.chain_length, p.chain_head, t.position, t.kind,
           t.reference, t.step, t.debit_account, t.credit_account, t.amount, t.currency, t.created_at,
           t.previous_hash, t.hash, sides.agree AS postings_agree,
           t.kind NOT IN ('stake', 'win') OR coalesce(
               (r.state, r.currency, CASE t.kind WHEN 'stake' THEN r.stake + r.extra ELSE r.win END)
                   = ('settled', t.currency, t.amount)
               AND (t.kind = 'win' OR (r.win > 0) = EXISTS (
                   SELECT FROM transfers w
                   WHERE w.player_key = t.player_key AND w.kind = 'win' AND w.reference = t.reference)),
               false) AS result_agrees
    FROM players p
    LEFT JOIN transfers t ON t.player_key = p.id
    LEFT JOIN LATERAL (
        SELECT count(*) = 2 AND bool_and(s.currency = t.currency AND CASE s.account_id
                   WHEN t.debit_account THEN s.amount = -t.amount
                   WHEN t.credit_account THEN s.amount = t.amount ELSE false END) AS agree
        FROM postings s WHERE s.transfer_id = t.id
    ) sides ON true
    LEFT JOIN rounds r ON r.player_key = t.player_key AND r.round_id = t.reference
        AND t.kind IN ('stake', 'win')
    WHERE $1::text IS NULL OR p.player_id = $1
    ORDER BY p.id, t.position
"""
SETTLED: Final = """
    SELECT * FROM round_view WHERE state = 'settled' AND ($1::text IS NULL OR player_id = $1) ORDER BY id
"""
SETTLED_COUNT: Final = """
    SELECT count(*) FROM rounds WHERE state = 'settled' AND ($1::text IS NULL OR player_id = $1)
"""
PREFETCH: Final = 500


async def length(connection: asyncpg.Connection, player_id: str | None) -> tuple[int, int]:
    """How many players there are (of all operators, or of this id), and how many links their chains say they
    have."""
    row = await connection.fetchrow(LENGTH, player_id, timeout=STATEMENT_TIMEOUT_S)
    return row["players"], row["links"]


async def settled_count(connection: asyncpg.Connection, player_id: str | None) -> int:
    """How many settled rounds there are."""
    count: int = await connection.fetchval(SETTLED_COUNT, player_id, timeout=STATEMENT_TIMEOUT_S)
    return count


def links(connection: asyncpg.Connection, player_id: str | None) -> AsyncIterator[asyncpg.Record]:
    """The rows of LINKS one by one, player by player in the order of the chain; needs a transaction."""
    return _each(connection, LINKS, player_id)


def settled(connection: asyncpg.Connection, player_id: str | None) -> AsyncIterator[asyncpg.Record]:
    """The settled rounds as rows of the view `round_view`, one by one; needs a transaction."""
    return _each(connection, SETTLED, player_id)


def _each(
    connection: asyncpg.Connection, statement: str, player_id: str | None
) -> AsyncIterator[asyncpg.Record]:
    rows: AsyncIterator[asyncpg.Record] = connection.cursor(
        statement, player_id, prefetch=PREFETCH, timeout=STATEMENT_TIMEOUT_S
    )
    return aiter(rows)
