"""An audit of live books: the invariants of money, every hash chain, and every outcome, from one snapshot."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

from games.registry import Registry
from security.seeds import SeedVault
from verification import books, chains, ledger, outcomes
from verification.findings import Finding
from verification.invariants.table import INVARIANTS
from verification.ledger import OVERDUE_AFTER_S
from verification.outcomes import ReplayResult

Advance = Callable[[], None]
# Begins a stage of so many parts; what it returns is called after each of them.
Begin = Callable[[str, int], Advance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`chain` leaves out the invariants that are no matter of single chains; `player_id` limits chains and
    outcomes to the players of that id."""

    chain: bool = False
    player_id: str | None = None
    overdue_after_s: float = OVERDUE_AFTER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What was read and what was found. `sums` is by currency in minor units, and None when the invariants
    were left out; `replayed` is None without a keyring."""

    players: int
    links: int
    findings: tuple[Finding, ...]
    sums: dict[str, int] | None
    replayed: ReplayResult | None

    @property
    def holds(self) -> bool:
        return all(finding.holds for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """The audit as JSON has it."""
        return {
            "ok": self.holds,
            "players": self.players,
            "links": self.links,
            "ledger_sums": self.sums,
            "outcomes_replayed": self.replayed and self.replayed.rounds,
            "outcomes_skipped": self.replayed and self.replayed.skipped,
            "invariants": [finding.as_dict() for finding in self.findings],
        }


class CannotAudit(Exception):
    """Why nothing can be said, as its reader sees it."""


async def examine(
    connection: asyncpg.Connection,
    wanted: Wanted,
    registry: Registry,
    vault: SeedVault | None,
    begin: Begin = lambda _title, _parts: lambda: None,
) -> AuditReport:
    """Needs a transaction that reads one snapshot, so that rounds being played do not disturb it. Outcomes
    are computed again only with a `vault`. Raises CannotAudit for a player who is not there."""
    players, links = await books.length(connection, wanted.player_id)
    if wanted.player_id is not None and players == 0:
        raise CannotAudit(f"there is no player {wanted.player_id}")
    findings, sums, replayed = [], None, None
    if not wanted.chain:
        findings = await ledger.examine_invariants(
            connection,
            overdue_after_s=wanted.overdue_after_s,
            advance=begin("invariants", len(INVARIANTS)),
        )
        sums = await books.ledger_sums(connection)
    advance = begin("links of the hash chains", links)
    findings.append(await chains.examine(connection, wanted.player_id, advance))
    if vault is not None:
        advance = begin("outcomes", await books.settled_count(connection, wanted.player_id))
        replayed = await outcomes.examine(connection, wanted.player_id, registry, vault, advance)
        findings.append(replayed.finding)
    return AuditReport(players=players, links=links, findings=tuple(findings), sums=sums, replayed=replayed)
