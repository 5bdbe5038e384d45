"""`croupier audit`: the invariants of money on the live database, every hash chain, and every outcome."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import typer
from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli import audit_chain, audit_outcomes
from cli.audit_outcomes import Replayed
from cli.check.invariants import OVERDUE_AFTER_S
from cli.check.report import Finding
from compose import control
from compose.layout import Layout
from contracts.failures import one_line
from games.registry import PluginError, Registry
from runtime.resources import Unreachable, connect_database, load_keyring
from runtime.settings import Settings
from security.keyring import KeyringInvalid
from security.seeds import SeedVault
from storage import audit, invariants
from storage.database import Database

HOLDS: Final = 0
BROKEN: Final = 1
CANNOT_AUDIT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`chain` leaves out the invariants that are no matter of single chains; `player_id` looks at the chains
    and outcomes of the players of that id alone."""

    chain: bool = False
    player_id: str | None = None
    overdue_after_s: float = OVERDUE_AFTER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What was looked at and what was found. `sums` is by currency in minor units, and None when the
    invariants were left out; `replayed` is None without a keyring."""

    players: int
    links: int
    findings: tuple[Finding, ...]
    sums: dict[str, int] | None
    replayed: Replayed | None

    @property
    def holds(self) -> bool:
        return all(finding.holds for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        return {
            "ok": self.holds,
            "players": self.players,
            "links": self.links,
            "ledger_sums": self.sums,
            "outcomes_replayed": self.replayed and self.replayed.rounds,
            "outcomes_skipped": self.replayed and self.replayed.skipped,
            "invariants": [
                {
                    "code": finding.code,
                    "name": finding.name,
                    "title": finding.title,
                    "holds": finding.holds,
                    "count": finding.count,
                    "examples": list(finding.examples),
                }
                for finding in self.findings
            ],
        }

    def render(self, console: Console) -> None:
        for finding in self.findings:
            mark = "[green]✓[/green]" if finding.holds else "[red]✗[/red]"
            console.print(f"{mark} {finding.code} {escape(finding.title)}", soft_wrap=True)
            if not finding.holds:
                console.print(f"     [red]{finding.count:,} broken ({finding.name})[/red]")
                for example in finding.examples:
                    console.print(f"     {escape(example)}", soft_wrap=True)
        console.print(self._looked_at())

    def _looked_at(self) -> str:
        seen = f"{self.players:,} players, {self.links:,} links of their chains"
        if self.replayed is None:
            return f"{seen}; no outcome was computed again: there is no keyring"
        skipped = (
            f", {self.replayed.skipped:,} of games that are not installed" if self.replayed.skipped else ""
        )
        return f"{seen}; {self.replayed.rounds:,} outcomes computed again{skipped}"


class CannotAudit(Exception):
    """Why nothing can be said, as its reader is told."""


def run(settings: Settings, wanted: Wanted, *, as_json: bool) -> int:
    """Prints what holds and what does not. Returns 0 when all holds, 1 when something is broken, 2 when it
    cannot be told."""
    try:
        found = asyncio.run(look(settings, wanted))
    except (CannotAudit, Unreachable, KeyringInvalid, PluginError) as problem:
        typer.echo(f"croupier: {one_line(str(problem))}", err=True)
        return CANNOT_AUDIT
    if as_json:
        sys.stdout.write(json.dumps(found.as_dict(), indent=2) + "\n")
    else:
        found.render(Console(highlight=False))
    return HOLDS if found.holds else BROKEN


async def look(settings: Settings, wanted: Wanted) -> Audited:
    """Everything from one snapshot, so that rounds being played do not disturb it. Raises CannotAudit,
    Unreachable, KeyringInvalid or PluginError."""
    reached = where(settings)
    known = reached.keyring_json is not None or reached.keyring.exists()
    vault = SeedVault(load_keyring(reached)) if known else None
    database = await connect_database(reached, connections=1)
    try:
        async with (
            database.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            with _progress() as progress:
                return await _examine(connection, wanted, Registry.load(reached.games), vault, progress)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotAudit(f"PostgreSQL: {type(error).__name__}: {error}") from None
    finally:
        await _close(database)


def where(settings: Settings) -> Settings:
    """The settings with the database of the stack that runs, unless they name one. Raises CannotAudit."""
    if settings.database_url is not None:
        return settings
    info = control.stack_info(Layout(settings.home))
    if not info:
        raise CannotAudit(
            f"the stack in {settings.home} is not up: start it with ./croupier up, or name a database of your"
            " own with CROUPIER_DATABASE_URL"
        )
    return settings.model_copy(update={"database_url": SecretStr(info["database_url"])})


async def _examine(
    connection: asyncpg.Connection,
    wanted: Wanted,
    registry: Registry,
    vault: SeedVault | None,
    progress: Progress,
) -> Audited:
    players, links = await audit.length(connection, wanted.player_id)
    if wanted.player_id is not None and players == 0:
        raise CannotAudit(f"there is no player {wanted.player_id}")
    findings, sums = [], None
    if not wanted.chain:
        findings = await _invariants(connection, wanted.overdue_after_s, progress)
        sums = await invariants.ledger_sums(connection)
    task = progress.add_task("links of the hash chains", total=links)
    findings.append(await audit_chain.examine(connection, wanted.player_id, lambda: progress.advance(task)))
    replayed = None
    if vault is not None:
        replayed = await _outcomes(connection, wanted.player_id, registry, vault, progress)
        findings.append(replayed.finding)
    return Audited(players=players, links=links, findings=tuple(findings), sums=sums, replayed=replayed)


async def _invariants(
    connection: asyncpg.Connection, overdue_after_s: float, progress: Progress
) -> list[Finding]:
    findings = []
    for invariant in progress.track(invariants.INVARIANTS, description="invariants"):
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
    return findings


async def _outcomes(
    connection: asyncpg.Connection,
    player_id: str | None,
    registry: Registry,
    vault: SeedVault,
    progress: Progress,
) -> Replayed:
    total = await audit.settled_count(connection, player_id)
    task = progress.add_task("outcomes", total=total)
    return await audit_outcomes.examine(
        connection, player_id, registry, vault, lambda: progress.advance(task)
    )


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on standard error, for a person only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


async def _close(database: Database) -> None:
    """What cannot be said in good order to a server that is gone is not the matter of an audit."""
    try:
        await database.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return
