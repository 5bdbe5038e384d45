"""What verification reads of the books beside the invariants: chains, sums, rounds, and what is under way."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

import asyncpg

STATEMENT_TIMEOUT_S: Final = 300.0  # an audit reads everything there is
PREFETCH: Final = 500

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
# Without those that were played back from a wallet after a restore: what they were drawn from is lost.
SETTLED: Final = """
    SELECT * FROM round_view WHERE state = 'settled' AND ($1::text IS NULL OR player_id = $1)
      AND NOT outcome ? 'played_back' ORDER BY id
"""
SETTLED_COUNT: Final = """
    SELECT count(*) FROM rounds WHERE state = 'settled' AND ($1::text IS NULL OR player_id = $1)
      AND NOT outcome ? 'played_back'
"""
# The transfers of every player in the order of their chain, without the books beside them; a player without
# transfers gives one row of nulls here too.
CHAINS: Final = """
    SELECT p.id AS player_key, p.chain_length, p.chain_head, t.position, t.kind, t.reference, t.step,
           t.debit_account, t.credit_account, t.amount, t.currency, t.created_at, t.previous_hash, t.hash
    FROM players p LEFT JOIN transfers t ON t.player_key = p.id
    ORDER BY p.id, t.position
"""
LEDGER_SUMS: Final = (
    "SELECT currency, sum(amount)::bigint AS total FROM postings GROUP BY currency ORDER BY currency"
)
OPEN_HOLDS: Final = "SELECT count(*) FROM rounds WHERE state IN ('pending', 'awaiting_choice', 'settling')"
# What is still on its way: of these players everything, of all others what began before the moment.
UNDER_WAY: Final = """
    SELECT
        (SELECT count(*) FROM rounds WHERE state IN ('pending', 'awaiting_choice', 'settling')
            AND (player_key = ANY($1) OR created_at < $2))
        + (SELECT count(*) FROM wallet_bets b WHERE resolved_at IS NULL
            AND (player_key = ANY($1) OR asked_at < $2)
            AND NOT EXISTS (SELECT FROM rounds r
                            WHERE r.player_key = b.player_key AND r.round_id = b.round_id))
        + (SELECT count(*) FROM outbox WHERE published_at IS NULL
            AND (player_key = ANY($1) OR occurred_at < $2))
        + (SELECT count(*) FROM outbox o
           WHERE o.player_key = ANY($1) AND o.type IN ('round.settled', 'round.void') AND NOT EXISTS (
            SELECT FROM inbox i WHERE i.consumer = 'statistics' AND i.event_id = o.event_id))
"""
PLAYER_KEYS: Final = "SELECT id FROM players WHERE operator_id = $1 AND player_id = ANY($2) AND NOT demo"
ROUNDS_OF_PLAYERS: Final = "SELECT * FROM round_view WHERE player_key = ANY($1)"


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


async def ledger_sums(connection: asyncpg.Connection) -> dict[str, int]:
    """The sum of all postings of each currency in minor units; 0 in any ledger that is in order."""
    rows = await connection.fetch(LEDGER_SUMS, timeout=STATEMENT_TIMEOUT_S)
    return {row["currency"]: row["total"] for row in rows}


async def open_holds(connection: asyncpg.Connection) -> int:
    """How many rounds hold a stake at this moment."""
    count: int = await connection.fetchval(OPEN_HOLDS, timeout=STATEMENT_TIMEOUT_S)
    return count


def chains(connection: asyncpg.Connection) -> AsyncIterator[asyncpg.Record]:
    """The rows of CHAINS one by one; needs a transaction."""
    return _each(connection, CHAINS)


def rounds_of(connection: asyncpg.Connection, player_keys: Sequence[int]) -> AsyncIterator[asyncpg.Record]:
    """The players' rounds as rows of the view `round_view`, one by one; needs a transaction."""
    return _each(connection, ROUNDS_OF_PLAYERS, player_keys)


async def player_keys(pool: asyncpg.Pool, *, operator_id: str, player_ids: Sequence[str]) -> list[int]:
    """Our keys of the operator's players, of those that exist."""
    return [row["id"] for row in await pool.fetch(PLAYER_KEYS, operator_id, list(player_ids))]


async def under_way(pool: asyncpg.Pool, *, player_keys: Sequence[int], began_before: datetime) -> int:
    """How many rounds and events of these players, and of all others from before the moment, are not at
    their end yet."""
    count: int = await pool.fetchval(UNDER_WAY, list(player_keys), began_before)
    return count


def _each(
    connection: asyncpg.Connection, statement: str, *arguments: object
) -> AsyncIterator[asyncpg.Record]:
    rows: AsyncIterator[asyncpg.Record] = connection.cursor(
        statement, *arguments, prefetch=PREFETCH, timeout=STATEMENT_TIMEOUT_S
    )
    return aiter(rows)
