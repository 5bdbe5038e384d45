"""`croupier backup`: makes, lists and verifies backups."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from temporalio.service import RPCError

from cli.options import told
from cli.services import CannotShow, database_of, where
from compose.backups import Backup, BackupProblem, Backups, passwords, typed
from compose.control import stack_info
from compose.layout import Layout
from compose.stack import OUTSIDE_DATABASE
from runtime.past_rounds import PastRounds
from runtime.services import Unreachable, load_keyring
from runtime.temporal import connect_temporal
from security.canaries import canaries, seal_passwords
from security.keyring import KeyringInvalid
from storage import restores

if TYPE_CHECKING:
    from runtime.settings import Settings


def make(settings: Settings, *, keep: int, as_json: bool) -> int:
    """Makes a backup and removes those beyond `keep`. Returns 0, or 1 when none was made."""
    try:
        made, removed, warning = asyncio.run(_make(settings, keep))
    except (BackupProblem, CannotShow, Unreachable, KeyringInvalid) as problem:
        return fail(problem)
    for name in removed:
        say(f"removed {name}")
    if warning is not None:
        say(warning)
    if as_json:
        sys.stdout.write(json.dumps(_as_dict(made), indent=2) + "\n")
    else:
        typer.echo(f"backup {made.name}, {made.bytes / 2**20:,.0f} MiB, in {Backups(settings.home).folder}")
        typer.echo(f"The keyring is not in it: back up {settings.keyring} apart from it.")
    return 0


async def _make(settings: Settings, keep: int) -> tuple[Backup, list[str], str | None]:
    if settings.database_url is not None:
        raise BackupProblem(OUTSIDE_DATABASE)
    reached, _ = where(settings)
    keyring = load_keyring(reached)
    async with database_of(reached, CannotShow) as database:
        epoch = await restores.last(database.pool)
    layout, backups = Layout(settings.home), Backups(settings.home)
    make_it = functools.partial(
        backups.make,
        (stack_info(layout) or {})["database_url"],
        canaries=canaries(keyring),
        sealed_passwords=seal_passwords(keyring, passwords(layout)),
        epoch=epoch.number,
        say=say,
    )
    made = await asyncio.to_thread(make_it)
    await asyncio.to_thread(backups.verify, made)
    removed = backups.prune(keep)
    try:
        client = await connect_temporal(reached, keyring)
        kept = await PastRounds(client).retention()
    except (Unreachable, RPCError):
        return made, removed, "Temporal does not answer: for how long it keeps ended rounds was not checked"
    return made, removed, _too_short(kept, backups.listed()[0])


def _too_short(kept: timedelta, first: Backup) -> str | None:
    """What Temporal has forgotten by the time of a restore is in no list of lost rounds."""
    reach = datetime.now(UTC) - first.reaches_from
    if kept > reach + timedelta(hours=1):
        return None
    return (
        f"Temporal keeps ended rounds for {kept // timedelta(hours=1)} h, and backups reach back by"
        f" {reach // timedelta(hours=1)} h: keep fewer, or make its namespace's retention longer"
    )


def show(settings: Settings, *, as_json: bool) -> int:
    """Prints the backups, oldest first. Returns 0, or 1 when there is none."""
    backups = Backups(settings.home)
    whole = backups.listed()
    if as_json:
        document = [
            _as_dict(one)
            | {"reaches_to": _typed(backups.reaches_to(one)), "timeline": backups.newest_of(one)}
            for one in whole
        ]
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return 0 if whole else 1
    table = Table(title=f"backups in {backups.folder}", title_justify="left")
    for heading in ("name", "MiB", "reaches from", "to", "timeline", "epoch"):
        table.add_column(heading)
    for backup in whole:
        missing = backups.missing(backup)
        to = _typed(backups.reaches_to(backup)) or "-"
        table.add_row(
            backup.name,
            f"{backup.bytes / 2**20:,.0f}",
            backup.shown_from,
            f"{to}, for WAL {missing[0]} is missing" if missing else to,
            str(backups.newest_of(backup)),
            str(backup.epoch),
        )
    Console(highlight=False).print(table)
    for path in backups.unfinished():
        typer.echo(f"{path.name.strip('.')} was never finished, and is no backup")
    return 0 if whole else 1


def verify(settings: Settings, name: str, *, as_json: bool = False) -> int:
    """Returns 0 when the backup is whole, 1 when it is not."""
    backups = Backups(settings.home)
    try:
        backup = backups.find(name, None)
        backups.verify(backup)
        backups.check_reach(backup, None)
    except BackupProblem as problem:
        return fail(problem)
    told(_as_dict(backup), f"backup {name} is whole, and its WAL has no gap", as_json=as_json)
    return 0


def say(text: str) -> None:
    typer.echo(text, err=True)


def fail(problem: Exception) -> int:
    typer.echo(f"croupier: {problem}", err=True)
    return 1


def _as_dict(backup: Backup) -> dict[str, Any]:
    return {
        "name": backup.name,
        "reaches_from": backup.shown_from,
        "bytes": backup.bytes,
        "first_wal": backup.wal,
        "epoch": backup.epoch,
    }


def _typed(moment: datetime | None) -> str | None:
    return None if moment is None else typed(moment)
