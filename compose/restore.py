"""Puts a backup of the embedded PostgreSQL back, at any moment that its WAL reaches.

The stack must be down. Everything that can be refused is refused before anything is changed, and the data
that was there is set aside, not deleted: where the server does not come up as wanted, it is put back.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg

from compose.backups import BASE, Backup, BackupProblem, Backups
from compose.postgres import EmbeddedPostgres, own, quoted
from compose.stack import Stack
from compose.wal import SEGMENT

TAIL: Final = "wal-tail"
OF_RECOVERY: Final = ("restore_command", "recovery_target")
PROGRESS_S: Final = 5.0
PAUSE_S: Final = 0.2

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """To which moment, of which timeline: None for the last one."""

    backup: Backup
    at: datetime | None
    timeline: int | None


async def put_back(stack: Stack, backups: Backups, target: Target, say: Say) -> Path | None:
    """Leaves the server running, restored and open for writing. Returns where the data is that was there
    before, if there was any. Raises StackProblem; the data is then as it was."""
    postgres = stack.embedded_postgres
    await postgres.prepare(say)
    cluster = postgres.cluster
    restoring = cluster.with_name("cluster.restoring")
    shutil.rmtree(restoring, ignore_errors=True)
    try:
        say(f"copying backup {target.backup.name}")
        await asyncio.to_thread(_lay_out, postgres, backups, target, restoring)
    except OSError as error:
        shutil.rmtree(restoring, ignore_errors=True)
        raise BackupProblem(f"the backup cannot be copied to {restoring}: {error.strerror}") from None
    aside = cluster.with_name(f"cluster.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    cluster.rename(aside)
    restoring.rename(cluster)
    try:
        await _replay(stack, postgres, say)
    except BaseException:
        await stack.give_up(postgres.name)
        shutil.rmtree(cluster, ignore_errors=True)
        aside.rename(cluster)
        raise
    shutil.rmtree(cluster / TAIL, ignore_errors=True)
    if postgres.is_new:
        # The preparation above has made it, and nobody has written to it.
        shutil.rmtree(aside, ignore_errors=True)
        return None
    return aside


def _lay_out(postgres: EmbeddedPostgres, backups: Backups, target: Target, restoring: Path) -> None:
    """The copy, what is left of WAL that never reached the archive, and the settings of the recovery."""
    shutil.copytree(backups.folder / target.backup.name / BASE, restoring, symlinks=True)
    tail = restoring / TAIL
    tail.mkdir()
    before = postgres.cluster / "pg_wal"
    for path in before.glob("*") if before.is_dir() else ():
        if SEGMENT.fullmatch(path.name) and not (backups.wal / path.name).exists():
            shutil.copy2(path, tail / path.name)
    (restoring / "recovery.signal").touch()
    settings = restoring / "postgresql.auto.conf"
    # A copy of a server that was restored has the settings of that restore.
    kept = [line for line in settings.read_text().splitlines() if not line.startswith(OF_RECOVERY)]
    settings.write_text("\n".join([*kept, *_recovery(backups.wal, target)]) + "\n")
    restoring.chmod(0o700)
    if postgres.user is not None:
        # Who has brought the backups from another machine may own their WAL now.
        for path in (restoring, *restoring.rglob("*"), backups.wal, *backups.wal.glob("*")):
            own(path, postgres.user)


def _recovery(archive: Path, target: Target) -> list[str]:
    fetch = f"cp {quoted(archive)}/%f %p 2>/dev/null || cp {TAIL}/%f %p"
    lines = [
        "restore_command = '{}'".format(fetch.replace("'", "''")),
        f"recovery_target_timeline = '{target.timeline or 'latest'}'",
        "recovery_target_action = 'promote'",
    ]
    if target.at is not None:
        lines.append(f"recovery_target_time = '{target.at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00'")
    return lines


async def _replay(stack: Stack, postgres: EmbeddedPostgres, say: Say) -> None:
    """Starts the server, and waits for as long as it replays. Raises StackProblem when it ends instead."""
    say("replaying WAL")
    await stack.run_alone(postgres)
    loop = asyncio.get_running_loop()
    told_at = loop.time()
    while (now := await _progress(postgres)).recovering:
        if (died := stack.died()) is not None:
            raise BackupProblem(_why(str(died)))
        if loop.time() - told_at >= PROGRESS_S:
            say(f"replayed up to the transaction of {now.at}" if now.at else "no transaction is replayed yet")
            told_at = loop.time()
        await asyncio.sleep(PAUSE_S)
    # It ends without a word at the end of the WAL, wherever that is.
    say(f"restored up to the transaction of {now.at}" if now.at else "no transaction came after the backup")


def _why(text: str) -> str:
    if "recovery ended before configured recovery target was reached" in text:
        return (
            "the WAL of this backup ends before that moment: take an earlier one, or that of another"
            " timeline with --timeline"
        )
    return f"PostgreSQL does not come up with the backup:\n{text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """`at` is the moment of the last transaction that was replayed; None before the first."""

    recovering: bool = True
    at: datetime | None = None


async def _progress(postgres: EmbeddedPostgres) -> Progress:
    """PostgreSQL still knows the last transaction once it has ended its recovery."""
    try:
        connection = await asyncpg.connect(postgres.url, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return Progress()
    try:
        recovering, at = await connection.fetchrow(
            "SELECT pg_is_in_recovery(), pg_last_xact_replay_timestamp()"
        )
        return Progress(recovering=recovering, at=at)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return Progress()
    finally:
        connection.terminate()


def room_for(backup: Backup, place: Path) -> None:
    """Raises BackupProblem where the disk has not room for the copy."""
    free = shutil.disk_usage(place).free
    if free < backup.bytes:
        raise BackupProblem(
            f"{place} has {free // 2**20:,} MiB free, and backup {backup.name} takes"
            f" {backup.bytes // 2**20:,}: make room first"
        )
