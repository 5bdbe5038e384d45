"""The invariants of money on a whole database, from one snapshot."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import asyncpg

from storage.database import Database
from verification import books, chains
from verification.findings import Finding
from verification.invariants.invariant import violations
from verification.invariants.table import INVARIANTS

# Rounds and events may be on their way for this long before they count as stuck.
OVERDUE_AFTER_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """The findings, the sum of all postings by currency (minor units), and how many stakes are held."""

    findings: tuple[Finding, ...]
    sums: dict[str, int]
    open_holds: int


async def audit(database: Database, *, overdue_after_s: float = OVERDUE_AFTER_S) -> LedgerState:
    """Reads the whole database in one snapshot, so that rounds being played do not disturb the result.
    Raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError."""
    async with (
        database.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        return await examine(connection, overdue_after_s=overdue_after_s)


async def examine(connection: asyncpg.Connection, *, overdue_after_s: float) -> LedgerState:
    """The same inside a transaction that the caller has begun."""
    findings = await examine_invariants(connection, overdue_after_s=overdue_after_s)
    findings.append(await chains.examine_hashes(connection))
    return LedgerState(
        findings=tuple(findings),
        sums=await books.ledger_sums(connection),
        open_holds=await books.open_holds(connection),
    )


async def examine_invariants(
    connection: asyncpg.Connection, *, overdue_after_s: float, advance: Callable[[], None] = lambda: None
) -> list[Finding]:
    """One finding for each invariant; `advance` is called after each."""
    findings = []
    for invariant in INVARIANTS:
        findings.append(await violations(connection, invariant, overdue_after_s=overdue_after_s))
        advance()
    return findings
