"""Starting, recognising and ending the processes of the stack.

Each start leaves a record with the pid and the process's start time. The kernel may have given a recorded pid
to another process; the start time tells the two apart, so nobody else's process is ever signalled.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from compose.layout import Layout, read_json, write_json
from compose.rotation import older, size_of

TAIL_LINES = 15
TAIL_BYTES = 16_384
# The kernel counts from its boot, and two readings of the boot time may differ by a second.
SAME_START_SECONDS = 2.0
CHILDREN_LIMIT_S = 60.0  # reached only by what hangs


@dataclass(frozen=True, kw_only=True)
class Command:
    """How to run one program. Its output goes to the log of its name."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    as_user: str | None = None  # only root may name one
    pass_fds: tuple[int, ...] = ()  # sockets that it shares with others


@dataclass
class Process:
    """A running command."""

    command: Command
    layout: Layout
    handle: asyncio.subprocess.Process
    log_bytes: int = 0  # what earlier runs have written there
    started: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        return self.handle.pid

    @property
    def running(self) -> bool:
        return self.handle.returncode is None

    def said(self) -> str:
        """The last lines of what it has written to its log, or nothing."""
        return tail(self.layout.log_of(self.command.name), since=self.log_bytes)

    async def wait(self) -> str:
        """Wait for the end. Returns how it ended, in words."""
        return ending(await self.handle.wait())

    async def stop(self) -> None:
        """Ask it to end, and insist after the command's limit. Its own children go with it."""
        family = children_of(self.pid)
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self.handle.send_signal(self.command.stop_signal)
            try:
                await asyncio.wait_for(self.handle.wait(), self.command.stop_seconds)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self.handle.kill()
                await self.handle.wait()
        await asyncio.to_thread(end_all, family, patience_seconds=2.0)
        record_of(self.layout, self.command.name).unlink(missing_ok=True)

    async def kill(self) -> None:
        """What `kill -9` does, for tests of crashes. Returns when its own children are gone too: those of
        PostgreSQL end by themselves, and no new one starts while one is left."""
        children: list[psutil.Process] = []
        if self.running:
            with contextlib.suppress(psutil.NoSuchProcess):
                children = psutil.Process(self.handle.pid).children(recursive=True)
            self.handle.kill()
        await self.handle.wait()
        await asyncio.to_thread(psutil.wait_procs, children, timeout=CHILDREN_LIMIT_S)


async def start(command: Command, layout: Layout) -> Process:
    """Start a program. It dies with this process (by the kernel's parent-death signal), it has its own
    process group so that a terminal's Ctrl-C does not reach it, and it reads nothing.
    """
    argv = with_parent_death(command)
    with layout.log_of(command.name).open("ab") as log:  # that it appends, rotation relies on
        os.fchmod(log.fileno(), 0o600)
        log_bytes = os.fstat(log.fileno()).st_size
        handle = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(command.environment),
            cwd=command.folder,
            pass_fds=command.pass_fds,
            start_new_session=True,
        )
    record(layout, command.name, handle.pid)
    return Process(command, layout, handle, log_bytes)


def ending(code: int) -> str:
    """A return code as subprocess gives it, in words."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def with_parent_death(command: Command) -> tuple[str, ...]:
    """The command behind setpriv (util-linux), which changes the user and asks the kernel for the signal.
    Without setpriv the records still let the next `up` or `down` find the process.
    """
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin")
    if setpriv is None:
        return command.argv
    argv: tuple[str, ...] = (setpriv, "--pdeathsig", command.stop_signal.name.removeprefix("SIG"))
    if command.as_user is not None:
        argv += as_user(command.as_user)
    return (*argv, "--", *command.argv)


def as_user(user: str) -> tuple[str, ...]:
    """The arguments of setpriv that turn root into this user, with that user's own group and no other."""
    import pwd

    entry = pwd.getpwnam(user)
    return (f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups")


def record_of(layout: Layout, name: str) -> Path:
    """The record of one component."""
    return layout.run / f"{name}.json"


def record(layout: Layout, name: str, pid: int) -> None:
    """Remember a process by its pid and its start time (seconds since 1970)."""
    try:
        created = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return  # It has already ended, so there is nothing to find again.
    write_json(record_of(layout, name), {"pid": pid, "created": created})


def recorded(layout: Layout, name: str) -> psutil.Process | None:
    """The process of a record, if it is still that one and alive."""
    known = read_json(record_of(layout, name))
    if known is None:
        return None
    try:
        process = psutil.Process(int(known["pid"]))
        same = abs(process.create_time() - float(known["created"])) < SAME_START_SECONDS
        alive = process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None
    return process if same and alive else None


def recorded_names(layout: Layout) -> list[str]:
    """The components that have a record, whether alive or not."""
    return sorted(path.stem for path in layout.run.glob("*.json"))


def sweep(layout: Layout, *, patience_seconds: float = 20.0) -> list[str]:
    """End what an earlier run left behind. Returns the names of what was still alive."""
    known = ((name, recorded(layout, name)) for name in recorded_names(layout))
    found = {name: process for name, process in known if process is not None and process.pid != os.getpid()}
    family = [child for process in found.values() for child in children_of(process.pid)]
    for name, process in found.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            # Backends of PostgreSQL would hold up the gentlest kind of stop, which SIGTERM asks for there.
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
    end_all([*found.values(), *family], patience_seconds=patience_seconds)
    for path in layout.run.glob("*.json"):
        path.unlink(missing_ok=True)
    return sorted(found)


def children_of(pid: int) -> list[psutil.Process]:
    """All descendants of a process that are alive now."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def end_all(processes: Iterable[psutil.Process], *, patience_seconds: float) -> None:
    """Wait for processes that were asked to end, then kill what is left."""
    _, alive = psutil.wait_procs(list(processes), timeout=patience_seconds)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5.0)


def tail(path: Path, lines: int = TAIL_LINES, *, since: int = 0) -> str:
    """The last lines of a log from its byte `since` on, or nothing. A log that is shorter by now was set
    aside, and they may be there too."""
    whole = not since or size_of(path) < since
    found = _end_of(path, 0 if whole else since)
    if whole and len(found) < lines:
        found = _end_of(older(path, 1), since) + found
    return "\n".join(found[-lines:])


def _end_of(path: Path, since: int) -> list[str]:
    """Whole lines alone: a log that was set aside may have lost its beginning, so that `since` is in one."""
    begin = max(since, size_of(path) - TAIL_BYTES)
    try:
        with path.open("rb") as file:
            file.seek(max(0, begin - 1))
            if begin:
                file.readline()
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
