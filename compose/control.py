"""The supervisor from outside: start it, read its events, find it, stop it, remove what it left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from compose import process
from compose.deaths import DeathRecord
from compose.layout import SUPERVISOR, Layout, read_json
from compose.postgres import ELSEWHERE
from compose.problems import AlreadyRunning, StackProblem
from compose.stack import take_lock
from runtime.settings import PROJECT_ROOT, Settings

STOP_LIMIT_SECONDS = 120.0
# Where runtime.provision keeps the demo operator's key; it means nothing without its row in the database.
OPERATOR_FILE = "operator.json"


@dataclass
class SupervisorHandle:
    """A supervisor that this process started. Closing its standard input asks an attached one to stop."""

    process: subprocess.Popen[str]

    @classmethod
    def start(
        cls, settings: Settings, *, attached: bool, services_only: bool, strict: bool, ingresses: int
    ) -> Self:
        """Starts a supervisor in a session of its own, so a terminal's Ctrl-C reaches only the caller."""
        layout = Layout(settings.home)
        layout.create()
        command = [sys.executable, "-m", "compose.supervisor", "--ingress", str(ingresses)]
        command += ["--attached"] if attached else []
        command += ["--services-only"] if services_only else []
        command += ["--strict"] if strict else []
        with layout.log_of(SUPERVISOR).open("ab") as log:
            os.fchmod(log.fileno(), 0o600)
            handle = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if attached else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=PROJECT_ROOT,
                text=True,
                start_new_session=True,
            )
        return cls(handle)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yields what the supervisor reports, until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)

    def ask_to_stop(self) -> None:
        """Requests the stop. The supervisor goes on reporting what it stops."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def wait(self) -> str | None:
        """Waits for its end. Returns how it ended, in words, or None for an orderly end."""
        code = self.process.wait()
        return process.ending(code) if code else None


def running_supervisor(layout: Layout) -> psutil.Process | None:
    """The supervisor of this home, whoever started it; None when none runs."""
    return process.recorded(layout, SUPERVISOR)


def stack_info(layout: Layout) -> dict[str, Any] | None:
    """Addresses and keys of the running stack, or None when it is not up."""
    return read_json(layout.stack_file) if running_supervisor(layout) else None


def components(layout: Layout) -> dict[str, psutil.Process | None]:
    """Every recorded component with its process, or None for one that is gone."""
    return {name: process.recorded(layout, name) for name in process.recorded_names(layout)}


def deaths(layout: Layout) -> list[dict[str, Any]]:
    """What died in the present run, or in the last one: the fields of compose.deaths.Death, oldest first."""
    return DeathRecord(layout).list()


def down(layout: Layout) -> list[str]:
    """Stops the stack of this home, and what a killed supervisor left. Returns what was running."""
    if not layout.run.exists():
        return []
    running = sorted(name for name, found in components(layout).items() if found)
    supervisor = running_supervisor(layout)
    if supervisor is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            supervisor.terminate()
            try:
                supervisor.wait(STOP_LIMIT_SECONDS)
            except psutil.TimeoutExpired:
                raise StackProblem(
                    f"the keeper (pid {supervisor.pid}) did not stop within {STOP_LIMIT_SECONDS:.0f} s"
                ) from None
    with take_lock(layout):
        process.sweep(layout)
        layout.stack_file.unlink(missing_ok=True)
    return running


def reset(settings: Settings) -> bool:
    """Removes all data, logs, keys and remembered ports and passwords; downloads stay. Returns False when
    there was nothing of ours. Raises AlreadyRunning.
    """
    layout = Layout(settings.home)
    if not layout.memory_file.exists():
        return False
    if running_supervisor(layout) is not None:
        raise AlreadyRunning("the stack is running: ./croupier down first")
    with take_lock(layout):
        process.sweep(layout) if layout.run.exists() else None
        remove_outside_place(layout.data / "postgres")
        for folder in (layout.data, layout.logs, layout.run):
            shutil.rmtree(folder, ignore_errors=True)
        layout.stack_file.unlink(missing_ok=True)
        (layout.home / OPERATOR_FILE).unlink(missing_ok=True)
        # Other data may need a keyring that a setting put elsewhere.
        if settings.keyring.is_relative_to(layout.home):
            settings.keyring.unlink(missing_ok=True)
        layout.memory_file.unlink()  # last, because it marks what may be deleted here
    return True


def remove_outside_place(link: Path) -> None:
    """Removes the data of a PostgreSQL that root's stack runs outside the home, behind a link. A link to
    anywhere but our own folder is only unlinked."""
    if link.is_symlink():
        place = link.resolve()
        if place.parent == ELSEWHERE:
            shutil.rmtree(place, ignore_errors=True)
        link.unlink()
