"""`croupier audit`: the audit of the live database, with a bar for a person, as lines or as JSON."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.audit import metrics
from cli.services import with_database
from contracts.failures import error_line, one_line
from games.registry import PluginError
from runtime import games
from runtime.services import Unreachable, connect_database, load_keyring
from runtime.settings import Settings
from security.keyring import KeyringInvalid
from security.seeds import SeedVault
from storage.database import Database
from verification import audit
from verification.audit import Advance, AuditReport, Begin, CannotAudit, Wanted

HOLDS: Final = 0
BROKEN: Final = 1
CANNOT_AUDIT: Final = 2


def run(settings: Settings, wanted: Wanted, *, as_json: bool, metrics_file: Path | None = None) -> int:
    """Prints what holds and what does not. Returns 0 when all holds, 1 when something is broken, 2 when it
    cannot be read, or `metrics_file` not be written."""
    try:
        found = asyncio.run(examine(settings, wanted))
        if metrics_file is not None:
            _write(found, metrics_file)
    except (CannotAudit, Unreachable, KeyringInvalid, PluginError) as problem:
        typer.echo(f"croupier: {one_line(str(problem))}", err=True)
        return CANNOT_AUDIT
    if as_json:
        sys.stdout.write(json.dumps(found.as_dict(), indent=2) + "\n")
    else:
        render(found, Console(highlight=False))
    return HOLDS if found.holds else BROKEN


def _write(found: AuditReport, path: Path) -> None:
    """Raises CannotAudit."""
    try:
        metrics.write(found, path)
    except OSError as error:
        raise CannotAudit(f"--metrics-file {path}: {error.strerror}") from None


async def examine(settings: Settings, wanted: Wanted) -> AuditReport:
    """The audit of the database that the settings name, or else of the stack that runs. Raises CannotAudit,
    Unreachable, KeyringInvalid or PluginError."""
    reached = _reached(settings)
    known = reached.keyring_json is not None or reached.keyring.exists()
    vault = SeedVault(load_keyring(reached)) if known else None
    database = await connect_database(reached, connections=1)
    try:
        async with (
            database.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
            games.opened(reached) as registry,
        ):
            with _progress() as begin:
                return await audit.examine(connection, wanted, registry, vault, begin)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotAudit(f"PostgreSQL: {error_line(error)}") from None
    finally:
        await _close(database)


def _reached(settings: Settings) -> Settings:
    """Raises CannotAudit without a database."""
    reached = with_database(settings)
    if reached.database_url is None:
        raise CannotAudit(
            f"the stack in {settings.home} is not up: start it with ./croupier up, or name a database of your"
            " own with CROUPIER_DATABASE_URL"
        )
    return reached


def render(found: AuditReport, console: Console) -> None:
    """One line for each finding, and below those that do not hold what breaks them."""
    for finding in found.findings:
        mark = "[green]✓[/green]" if finding.holds else "[red]✗[/red]"
        console.print(f"{mark} {finding.code} {escape(finding.title)}", soft_wrap=True)
        if not finding.holds:
            console.print(f"     [red]{finding.count:,} broken ({finding.name})[/red]")
            for example in finding.examples:
                console.print(f"     {escape(example)}", soft_wrap=True)
    console.print(_what_was_read(found))


def _what_was_read(found: AuditReport) -> str:
    seen = f"{found.players:,} players, {found.links:,} links of their chains"
    replayed = found.replayed
    if replayed is None:
        return f"{seen}; no outcome was computed again: there is no keyring"
    skipped = f", {replayed.skipped:,} of games that are not installed" if replayed.skipped else ""
    return f"{seen}; {replayed.rounds:,} outcomes computed again{skipped}"


@contextmanager
def _progress() -> Iterator[Begin]:
    """A bar on standard error, for a person only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def begin(title: str, parts: int) -> Advance:
            task = progress.add_task(title, total=parts)
            return lambda: progress.advance(task)

        yield begin


async def _close(database: Database) -> None:
    """What cannot be said in good order to a server that is gone is not the matter of an audit."""
    try:
        await database.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return
