"""The invariants of money on a whole database, from one snapshot: `up --check` and audits use this."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from cli.check.report import Finding, Tally
from storage import invariants
from storage.database import Database
from wallet.chain import Link, first_broken

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
    findings = []
    for invariant in invariants.INVARIANTS:
        found = await invariants.violations(connection, invariant, overdue_after_s=overdue_after_s)
        findings.append(
            Finding(
                code=invariant.code,
                name=invariant.name,
                title=invariant.title,
                count=found.count,
                examples=found.examples,
            )
        )
    findings.append(await _chains(connection))
    return LedgerState(
        findings=tuple(findings),
        sums=await invariants.ledger_sums(connection),
        open_holds=await invariants.open_holds(connection),
    )


async def _chains(connection: asyncpg.Connection) -> Finding:
    """Every player's hash chain, computed here and not by the database that wrote it."""
    tally = Tally(
        "I6", "chains-hold", "each player's chain of hashes holds from its first transfer to its head"
    )
    async for rows in _by_player(invariants.chains(connection)):
        player = rows[0]
        links = [_link(row) for row in rows if row["position"] is not None]
        broken = first_broken(links, length=player["chain_length"], head=player["chain_head"])
        if broken is not None:
            tally.add(f"player {player['player_key']}: breaks at transfer {broken}")
    return tally.finding()


async def _by_player(rows: AsyncIterator[asyncpg.Record]) -> AsyncIterator[list[asyncpg.Record]]:
    """One player's rows at a time."""
    of_player: list[asyncpg.Record] = []
    async for row in rows:
        if of_player and row["player_key"] != of_player[0]["player_key"]:
            yield of_player
            of_player = []
        of_player.append(row)
    if of_player:
        yield of_player


_LINK_FIELDS: Final = tuple(Link.__slots__)


def _link(row: asyncpg.Record) -> Link:
    fields: dict[str, Any] = {name: row[name] for name in _LINK_FIELDS}
    return Link(**fields)
