"""Backups of the embedded PostgreSQL: base copies, and every WAL segment from the first of them on.

A home's `backups` folder has one folder for each copy, and the archive `wal`. A copy is made in a folder
whose name begins with a dot, gets its `backup.json` last of all, and then its name: what has no `backup.json`
is no backup. The keyring is never in it.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from compose.layout import Layout, read_json, write_json
from compose.postgres import archive_of, own, service_account
from compose.problems import StackProblem
from compose.wal import (
    SEGMENT,
    SEGMENT_BYTES,
    Leg,
    commits,
    first_commit,
    histories,
    number,
    run,
    segment_on,
    way_to,
)

MANIFEST: Final = "backup.json"
BASE: Final = "base"
# The form of a name: the time at which the copy began, in UTC.
NAME: Final = "%Y%m%dT%H%M%SZ"
START: Final = re.compile(r"START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)")
ALL_BYTES: Final = (
    *("--no-psqlrc", "--no-align", "--tuples-only"),
    *("--command", "SELECT sum(pg_database_size(oid))::bigint FROM pg_database", "--dbname"),
)
PASSWORDS: Final = ("postgres_password", "postgres_application_password")

Say = Callable[[str], None]


class BackupProblem(StackProblem):
    """A backup cannot be made, read or put back. What was there before is as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What `backup.json` says. `ended_at` is the first moment that it reaches, `wal` the first segment that
    it needs. `canaries` open with the keyring that it belongs to, and so do the passwords of the server's
    roles, which a restore on another machine needs."""

    name: str
    began_at: str
    ended_at: str
    server: str
    wal: str
    bytes: int
    epoch: int
    canaries: dict[str, Any] = field(default_factory=dict)
    sealed_passwords: str | None = None

    @property
    def reaches_from(self) -> datetime:
        return datetime.fromisoformat(self.ended_at)

    @property
    def shown_from(self) -> str:
        """The first full second that it reaches: it is typed again."""
        return typed(just_before(self.reaches_from) + timedelta(seconds=1))

    @property
    def timeline(self) -> int:
        return int(self.wal[:8], 16)


class Backups:
    """The backups of one home."""

    def __init__(self, home: Path) -> None:
        self.folder = archive_of(home)

    @property
    def wal(self) -> Path:
        return self.folder / "wal"

    def prepare(self) -> None:
        """Makes the folders. From the moment that `wal` is there the server archives to it."""
        self.folder.mkdir(mode=0o711, exist_ok=True)
        self.wal.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            own(self.wal, service_account())

    def listed(self) -> list[Backup]:
        """All that are whole, oldest first."""
        found = (self._read(path) for path in sorted(self.folder.glob("2*")) if path.is_dir())
        return [backup for backup in found if backup is not None]

    def unfinished(self) -> list[Path]:
        """What a copy left that did not come to its end."""
        known = {backup.name for backup in self.listed()}
        return [path for path in sorted(self.folder.glob("*2*")) if path.is_dir() and path.name not in known]

    def reaches_to(self, backup: Backup, timeline: int | None = None) -> datetime | None:
        """The last moment that the archive has for it, before the first gap; None while it has none."""
        last = self.last_commit(backup, timeline)
        return None if last is None or just_before(last) < backup.reaches_from else just_before(last)

    def timelines(self) -> list[int]:
        """All that are known, newest first."""
        return sorted({1, *histories(self.wal), *(backup.timeline for backup in self.listed())}, reverse=True)

    def leads_to(self, backup: Backup, timeline: int) -> bool:
        """Whether the timeline is the backup's own, or was begun after what the backup has."""
        legs = way_to(self.wal, timeline)
        # A copy ends with its last segment, so what begins within its first one lacks a part of it.
        after = [leg.begins // SEGMENT_BYTES for leg in legs if leg.timeline > backup.timeline]
        return backup.timeline in (leg.timeline for leg in legs) and number(backup.wal) < min(
            after, default=number(backup.wal) + 1
        )

    def newest_of(self, backup: Backup) -> int:
        """The newest timeline that the backup can be replayed to."""
        return next(
            (timeline for timeline in self.timelines() if self.leads_to(backup, timeline)), backup.timeline
        )

    def missing(self, backup: Backup, timeline: int | None = None) -> list[str]:
        """Segments that the archive lacks on the way from the backup to the end of the timeline, which is the
        newest that it leads to."""
        there = self._segments()
        return [name for name in self._way(backup, timeline) if name not in there]

    def _way(self, backup: Backup, timeline: int | None) -> list[str]:
        """All segments from the backup's first to the last that is there, or must have been."""
        legs = way_to(self.wal, timeline or self.newest_of(backup))
        held = [number(name) for name in self._segments() if name == segment_on(legs, number(name))]
        last = max([*held, legs[-1].begins // SEGMENT_BYTES - 1])
        return [segment_on(legs, at) for at in range(number(backup.wal), last + 1)]

    def _segments(self) -> set[str]:
        return {path.name for path in self.wal.glob("*") if SEGMENT.fullmatch(path.name)}

    def find(self, name: str | None, at: datetime | None, timeline: int | None = None) -> Backup:
        """The one of this name, else the latest that reaches the moment on the timeline, which is the newest
        where none is named. Raises BackupProblem."""
        if timeline is not None and timeline not in self.timelines():
            known = ", ".join(str(one) for one in reversed(self.timelines()))
            raise BackupProblem(f"there is no timeline {timeline} in {self.folder}: it has {known}")
        if name is not None:
            backup = self._named(name)
            if timeline is not None and not self.leads_to(backup, timeline):
                raise BackupProblem(
                    f"backup {name} does not lead to timeline {timeline}: take another, or --timeline"
                    f" {self.newest_of(backup)}"
                )
            return backup
        wanted = timeline or self.timelines()[0]
        whole = [backup for backup in self.listed() if self.leads_to(backup, wanted)]
        usable = [backup for backup in whole if at is None or backup.reaches_from <= at]
        if not usable:
            first = f": the first reaches from {whole[0].shown_from} on" if whole else ""
            on = "" if wanted == 1 else f" on timeline {wanted}"
            raise BackupProblem(f"no backup in {self.folder} reaches that moment{on}{first}")
        return usable[-1]

    def _named(self, name: str) -> Backup:
        for backup in self.listed():
            if backup.name == name:
                return backup
        if name in {path.name.strip(".") for path in self.unfinished()}:
            raise BackupProblem(f"backup {name} was never finished: take another (./croupier backup --list)")
        raise BackupProblem(f"there is no backup {name} in {self.folder}: ./croupier backup --list")

    def verify(self, backup: Backup) -> None:
        """Reads every file of the copy and compares it with its checksum. Raises BackupProblem."""
        done = run("pg_verifybackup", "--quiet", "--exit-on-error", str(self.folder / backup.name / BASE))
        if done.returncode != 0:
            raise BackupProblem(f"backup {backup.name} is damaged: {reason(done.stderr)}")

    def check_reach(self, backup: Backup, at: datetime | None, timeline: int | None = None) -> None:
        """A gap in the WAL matters to a moment beyond it, and to who wants the last. Raises BackupProblem."""
        missing = self.missing(backup, timeline)
        if not missing:
            return
        reached = self.last_commit(backup, timeline)
        # PostgreSQL knows that it is at a moment by the first transaction after it.
        if at is not None and reached is not None and at < reached:
            return
        lacks = (
            f"the archive lacks WAL after backup {backup.name}, {len(missing)} segments,"
            f" the first {missing[0]}"
        )
        last = self.reaches_to(backup, timeline)
        if last is None:
            raise BackupProblem(f"{lacks}: it reaches no moment, take another backup")
        raise BackupProblem(f"{lacks}: the last moment that it reaches is --to {typed(last)}")

    def left_before(self, at: datetime, timeline: int) -> Leg | None:
        """The timeline that has the moment, where this one has not: it, or one before it, left that timeline
        earlier, and has nothing of its own until later."""
        for leg, after in reversed(list(itertools.pairwise(way_to(self.wal, timeline)))):
            if leg.left is not None and leg.left <= at:
                first = first_commit(self.wal, after)
                return leg if first is None or at < first else None
        return None

    def last_commit(self, backup: Backup, timeline: int | None = None) -> datetime | None:
        """That of the last transaction before the first gap in the archive; None where there is none."""
        there = self._segments()
        whole = itertools.takewhile(there.__contains__, self._way(backup, timeline))
        for name in reversed(list(whole)):
            if found := commits(self.wal / name):
                return found[-1]
        return None

    def make(
        self,
        url: str,
        *,
        canaries: dict[str, Any],
        epoch: int,
        say: Say,
        sealed_passwords: str | None = None,
    ) -> Backup:
        """Copies the running server at `url`, its owner's. Raises BackupProblem, and leaves nothing then."""
        self.prepare()
        with self._alone():
            return self._make(url, canaries, epoch, say, sealed_passwords)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Of two backups at once the later would take the first one's copy for one that was left."""
        with (self.folder / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupProblem(f"another backup is being made in {self.folder}: wait for it") from None
            yield

    def _make(
        self, url: str, canaries: dict[str, Any], epoch: int, say: Say, sealed_passwords: str | None
    ) -> Backup:
        began = datetime.now(UTC)
        name = began.strftime(NAME)
        draft = self.folder / f".{name}"
        for path in self.unfinished():
            say(f"removing {path.name}, which was never finished")
            shutil.rmtree(path)
        try:
            draft.mkdir(mode=0o700)
            say("copying the database")
            copy_server(url, draft / BASE)
            backup = Backup(
                name=name,
                began_at=began.isoformat(),
                ended_at=datetime.now(UTC).isoformat(),
                server=(draft / BASE / "PG_VERSION").read_text().strip(),
                wal=_first_segment(draft / BASE),
                bytes=sum(path.stat().st_size for path in draft.rglob("*") if path.is_file()),
                epoch=epoch,
                canaries=canaries,
                sealed_passwords=sealed_passwords,
            )
            write_json(draft / MANIFEST, asdict(backup))
            sync(draft / MANIFEST, draft)
            draft.rename(self.folder / name)
            sync(self.folder)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise BackupProblem(f"the backup in {self.folder} was not made: {error.strerror}") from None
        except BackupProblem:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return backup

    def prune(self, keep: int) -> list[str]:
        """Removes all but the latest `keep`, and the WAL that no later one needs. Returns the names."""
        whole = self.listed()
        old, kept = whole[:-keep], whole[-keep:]
        for backup in old:
            shutil.rmtree(self.folder / backup.name)
        if old and kept:
            run("pg_archivecleanup", str(self.wal), min(backup.wal for backup in kept))
        return [backup.name for backup in old]

    def _read(self, path: Path) -> Backup | None:
        try:
            return Backup(**json.loads((path / MANIFEST).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def passwords(layout: Layout) -> dict[str, str]:
    """Those of the embedded server's roles, as this home remembers them."""
    known = read_json(layout.memory_file) or {}
    return {name: known[name] for name in PASSWORDS if name in known}


def adopt_passwords(layout: Layout, known: dict[str, str]) -> None:
    """The roles of a server that is put back have the passwords that they had. A new home has others."""
    layout.create()
    memory = read_json(layout.memory_file) or {}
    write_json(layout.memory_file, {**memory, **known})


def copy_server(url: str, target: Path) -> None:
    """A base copy with the WAL that makes it whole, and checksums of every file. Raises BackupProblem."""
    parts = urlsplit(url)
    server = (
        *("--host", str(parts.hostname), "--port", str(parts.port)),
        *("--username", unquote(parts.username or ""), "--no-password"),
    )
    password = unquote(parts.password or "")
    sized = run("psql", *server, *ALL_BYTES, unquote(parts.path[1:]), password=password)
    if sized.returncode == 0:
        # pg_basebackup finds out at the end of the disk, which the server may share.
        _check_room(int(sized.stdout), target.parent)
    done = run(
        "pg_basebackup",
        *("--pgdata", str(target), "--format=plain", "--wal-method=stream", "--checkpoint=fast"),
        *("--manifest-checksums=SHA256", "--label=croupier", *server),
        password=password,
    )
    if done.returncode != 0:
        raise BackupProblem(f"the database was not copied: {reason(done.stderr)}")


def _check_room(needed: int, place: Path) -> None:
    free = shutil.disk_usage(place).free
    if free < needed:
        raise BackupProblem(
            f"{place.parent} has {free // 2**20:,} MiB free, and a copy of the database takes"
            f" {needed // 2**20:,}: make room first"
        )


def reason(text: str) -> str:
    """The last error that a program told, for its last line may be of how it cleaned up; else that line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line]
    return (errors or lines or ["it said nothing"])[-1]


def sync(*paths: Path) -> None:
    """Makes files, and the names in folders, durable."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _first_segment(base: Path) -> str:
    found = START.search((base / "backup_label").read_text())
    if found is None:
        raise BackupProblem("the copy of the database does not say from where it is to be replayed")
    return found[1]


def just_before(moment: datetime) -> datetime:
    """The last full second before."""
    return (moment - timedelta(microseconds=1)).replace(microsecond=0)


def typed(moment: datetime) -> str:
    """As `--to` takes it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
