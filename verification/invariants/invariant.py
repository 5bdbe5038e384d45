"""An invariant: a statement that finds what breaks it, and how it is asked.

A database in order gives no row, also while rounds are being played: statements that look at a delay know
`overdue.moment`, and all are meant to be read from one snapshot."""

from dataclasses import dataclass
from typing import Final

import asyncpg

from verification.books import STATEMENT_TIMEOUT_S
from verification.findings import EXAMPLES, Finding

DETAIL_LIMIT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """`code` as the design names it (I1..I9), `title` says what holds, `broken` selects what does not:
    one row of (subject, detail) text for each violation."""

    code: str
    name: str
    title: str
    broken: str


async def violations(
    connection: asyncpg.Connection, invariant: Invariant, *, overdue_after_s: float
) -> Finding:
    """What breaks `invariant`: how many rows, and the first few as "subject: detail". Delays of up to
    `overdue_after_s` seconds before the transaction began are in order: in one snapshot its age must not
    count as delay."""
    statement = f"""
        WITH overdue AS (SELECT now() - make_interval(secs => $1) AS moment)
        SELECT subject, detail, count(*) OVER () AS total FROM ({invariant.broken}) broken
        ORDER BY subject LIMIT {EXAMPLES}
    """  # noqa: S608 - put together from the constants of the invariants
    rows = await connection.fetch(statement, overdue_after_s, timeout=STATEMENT_TIMEOUT_S)
    return Finding(
        code=invariant.code,
        name=invariant.name,
        title=invariant.title,
        count=rows[0]["total"] if rows else 0,
        examples=tuple(f"{row['subject']}: {row['detail']}"[:DETAIL_LIMIT] for row in rows),
    )
