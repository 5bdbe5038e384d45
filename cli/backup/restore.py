"""`croupier restore`: refuses what can be refused, puts the backup back, and recovers the ledger."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer
from pydantic import SecretStr

from cli.backup.recover import as_document, exit_code, recovered, render
from cli.backup.run import fail, say
from cli.options import told
from compose import control
from compose.backups import Backup, BackupProblem, Backups, adopt_passwords, passwords
from compose.layout import Layout
from compose.problems import StackProblem
from compose.restore import Target, put_back, room_for
from compose.stack import OUTSIDE_DATABASE, Stack
from runtime.services import Unreachable, load_keyring
from security.canaries import missing, open_passwords
from security.keyring import KeyringInvalid

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.recovery import Recovered
    from runtime.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was asked for. `to` is as it was typed."""

    name: str | None
    to: str | None
    timeline: int | None
    yes: bool


@dataclass(slots=True)
class Done:
    """How far a restore has come, also for who interrupts it. `aside` is where the data of before
    is, if there was any."""

    restored: bool = False
    aside: Path | None = None
    found: Recovered | None = None


def run(settings: Settings, choice: Choice, *, as_json: bool = False) -> int:
    """Returns 0 when the database is restored and recovered, 1 when it is as it was, 3 when it is restored
    and the list of lost rounds is not whole, 130 on an interrupt."""
    done = Done()
    try:
        target = _target(settings, choice)
        moment = (
            "the last moment that it reaches" if target.at is None else f"{target.at:%Y-%m-%d %H:%M:%S} UTC"
        )
        say(f"backup {target.backup.name}, to {moment}, on timeline {target.timeline}")
        if not choice.yes and not typer.confirm("Put it back? What is there now is set aside.", err=as_json):
            say("nothing was changed")
            return 1
        asyncio.run(_restore(settings, target, done))
    except (StackProblem, KeyringInvalid, Unreachable) as problem:
        return fail(problem)
    except KeyboardInterrupt:
        return _interrupted(done)
    if as_json:
        found = None if done.found is None else as_document(done.found)
        aside = None if done.aside is None else str(done.aside)
        told({"backup": target.backup.name, "aside": aside, "recovered": found}, as_json=True)
        return exit_code(done.found)
    if done.found is not None:
        render(done.found)
    if done.aside is not None:
        typer.echo(f"The data of before is in {done.aside}: delete it when you are sure.")
    typer.echo("Next: ./croupier up")
    return exit_code(done.found)


def _interrupted(done: Done) -> int:
    if done.restored:
        say("interrupted: the database is restored, and not recovered; ./croupier up recovers it")
        if done.aside is not None:
            say(f"the data of before is in {done.aside}")
    else:
        say("interrupted: the database is as it was")
    return 130


def _target(settings: Settings, choice: Choice) -> Target:
    """Checks all that can be checked while nothing is changed. Raises StackProblem and KeyringInvalid."""
    if settings.database_url is not None:
        raise BackupProblem(OUTSIDE_DATABASE)
    layout = Layout(settings.home)
    if control.running_supervisor(layout) or any(control.components(layout).values()):
        raise BackupProblem(f"the stack in {settings.home} is running: ./croupier down first")
    backups, at = Backups(settings.home), _moment(choice.to)
    backup = backups.find(choice.name, at, choice.timeline)
    timeline = choice.timeline or backups.newest_of(backup)
    if at is not None and at < backup.reaches_from:
        raise BackupProblem(f"backup {backup.name} reaches from {backup.shown_from} on: take an earlier one")
    _check_keyring(settings, backup)
    room_for(backup, settings.home)
    say("reading the backup")
    backups.verify(backup)
    backups.check_reach(backup, at, timeline)
    if at is not None and (leg := backups.left_before(at, timeline)) is not None:
        say(
            f"timeline {timeline} has nothing of that moment: timeline {leg.timeline} was left at {leg.left},"
            f" and has what came then: --timeline {leg.timeline}"
        )
    return Target(backup=backup, at=at, timeline=timeline)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BackupProblem(f"--to {text} is no time: write 2026-11-27T14:03:00Z") from None
    if at > datetime.now(UTC):
        raise BackupProblem(f"--to {text} is in the future")
    return at


def _check_keyring(settings: Settings, backup: Backup) -> None:
    lacking = missing(load_keyring(settings), backup.canaries)
    if lacking:
        raise BackupProblem(
            f"the keyring {settings.keyring} is not the one of backup {backup.name}: it lacks"
            f" {', '.join(lacking)}. Bring that one back, or add its keys: ./croupier keys merge FILE"
        )


async def _restore(settings: Settings, target: Target, done: Done) -> None:
    layout = Layout(settings.home)
    before, sealed = passwords(layout), target.backup.sealed_passwords
    if sealed is not None:
        adopt_passwords(layout, open_passwords(load_keyring(settings), sealed))
    try:
        await _put_back_and_recover(settings, target, done)
    except BaseException:
        # The roles of a server that was put back have its passwords, whatever went wrong after that.
        if not done.restored:
            adopt_passwords(layout, before)
        raise


async def _put_back_and_recover(settings: Settings, target: Target, done: Done) -> None:
    async with Stack(settings) as stack:
        done.aside = await put_back(stack, Backups(settings.home), target, say)
        done.restored = True
        say("starting Temporal, to compare the ledger with it")
        try:
            await stack.provision()  # a backup may be of an earlier release
            await stack.start_temporal()
            addresses = stack.addresses
            reached = settings.model_copy(
                update={
                    "database_url": SecretStr(addresses.database_url),
                    "temporal_address": addresses.temporal_address,
                }
            )
            done.found = await recovered(reached, restored=False)
        except (StackProblem, Unreachable) as problem:
            say(f"the database is restored, and not recovered: {problem}")
            say("the reconciler recovers it after ./croupier up")
