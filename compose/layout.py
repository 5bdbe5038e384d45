"""Where the embedded stack keeps its things below its home, and what it remembers between two runs."""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compose.problems import PortTaken, StackProblem
from runtime.settings import PROJECT_ROOT

# Below the range from which Linux takes the ports of outgoing connections, and above what is commonly
# registered.
FREE_PORTS = range(20_000, 32_000)

# The supervisor's name in a home: of its lock, its record and its log. It stays, because a new program must
# find the stack that an earlier one runs.
SUPERVISOR = "keeper"

# Programs that are downloaded are the same for every home of this project, so tests with their own home share
# them.
SHARED_LIBRARY = PROJECT_ROOT / ".local" / "lib"


@dataclass(frozen=True)
class Layout:
    """The paths below one home. Secrets are in files that only their owner reads (mode 0600)."""

    home: Path

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """One record for each running process: its pid and its start time."""
        return self.home / "run"

    @property
    def stack_file(self) -> Path:
        """Addresses and keys of the running stack, for people and tests."""
        return self.home / "stack.json"

    @property
    def lock_file(self) -> Path:
        return self.home / f"{SUPERVISOR}.lock"

    @property
    def memory_file(self) -> Path:
        """Ports and passwords. Its presence marks a folder as a home of ours."""
        return self.home / "memory.json"

    def _claim(self) -> None:
        """`reset` deletes folders with names as common as `data`, so they must be ours from the start."""
        if self.memory_file.exists():
            return
        for folder in (self.data, self.logs, self.run):
            if folder.exists():
                raise StackProblem(
                    f"{folder} belongs to something else: choose an empty folder as CROUPIER_HOME"
                )
        write_json(self.memory_file, {})

    def log_of(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def create(self) -> None:
        """Make the folders; raises StackProblem when they are somebody else's. The home can be passed through
        by others but not listed, because PostgreSQL of a stack started by root runs as another user; whatever
        is secret below has its own mode.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self._claim()
        self.home.chmod(0o711)
        for folder, mode in ((self.data, 0o711), (self.logs, 0o700), (self.run, 0o700)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)


class Memory:
    """Generated ports and passwords, kept in one JSON file so that the next run finds the same. Its ports are
    reserved until `close`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = read_json(path) or {}
        self._handed_out: dict[str, int] = {}
        self._reservations: list[socket.socket] = []

    def close(self) -> None:
        """Releases the ports."""
        while self._reservations:
            self._reservations.pop().close()

    def secret(self, name: str) -> str:
        """A password that is generated once."""
        if name not in self._values:
            self._remember(name, secrets.token_urlsafe(24))
        return str(self._values[name])

    def port(self, name: str, wanted: int | None = None) -> int:
        """The port `wanted` by a setting, else the one of the last run, else a free one; the same for as long
        as this object lives. Raises PortTaken when the wanted one is in use.
        """
        if name not in self._handed_out:
            self._handed_out[name] = self._choose(name, wanted)
        return self._handed_out[name]

    def _choose(self, name: str, wanted: int | None) -> int:
        if wanted is not None:
            if not self._take(wanted):
                raise PortTaken(name, wanted)
            return wanted
        known = self._values.get(f"{name}_port")
        if isinstance(known, int) and self._take(known):
            return known
        while not self._take(port := secrets.choice(FREE_PORTS)):
            pass
        self._remember(f"{name}_port", port)
        return port

    def _take(self, port: int) -> bool:
        reservation = reserve(port)
        if reservation is None:
            return False
        if not is_free(port):
            reservation.close()
            return False
        self._reservations.append(reservation)
        return True

    def _remember(self, key: str, value: Any) -> None:
        self._values[key] = value
        write_json(self._path, self._values)


def reserve(port: int) -> socket.socket | None:
    """Keep every other stack of this machine, whoever runs it, from choosing this port before its server
    listens: a name in Linux's abstract namespace, which the kernel frees when this process ends. Returns None
    when another has it; this one lasts until it is closed.
    """
    reservation = socket.socket(socket.AF_UNIX)
    try:
        reservation.bind(f"\0croupier-port-{port}")
    except OSError:
        reservation.close()
        return None
    return reservation


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As servers do, so that the remains of closed connections do not count as use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def read_json(path: Path) -> dict[str, Any] | None:
    """What the file holds, or None when it is missing or not a JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace the file in one step; only its owner may read it."""
    write_private(path, json.dumps(value, indent=2) + "\n")


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file in one step, never readable by others, not even for a moment."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    temporary.replace(path)
