"""How much memory each family of processes holds, and how that goes on while rounds are played.

Memory is the proportional set size where the kernel reports it: what processes share, as PostgreSQL's
backends do their buffers, counts once among them. The plain resident size would count it once for each.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from compose.process import children_of

PARTS: Final = (0.0, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)  # of all rounds, where memory is read
SETTLED: Final = 0.2  # caches and pools are full by then; growth counts from there
LONGEST_S: Final = 20.0
SHORTEST_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class MemoryPoint:
    """Bytes of each family once this many rounds were played."""

    rounds: int
    resident: dict[str, int]


def resident(roots: Mapping[str, Iterable[int]]) -> dict[str, int]:
    """Bytes by family: the processes named and all their descendants."""
    return {family: sum(_bytes_of_tree(pid) for pid in pids) for family, pids in roots.items()}


def _bytes_of_tree(pid: int) -> int:
    try:
        return sum(_bytes_of(process) for process in (psutil.Process(pid), *children_of(pid)))
    except psutil.NoSuchProcess:
        return 0


def _bytes_of(process: psutil.Process) -> int:
    try:
        found = process.memory_full_info()
        return int(getattr(found, "pss", found.rss))
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended meanwhile
        return 0


def marks(rounds: int) -> list[int]:
    """After how many rounds memory is read."""
    return sorted({round(rounds * part) for part in PARTS})


def next_job_s(*, missing: int, rate: float | None) -> float:
    """How many seconds to play next, so that about `missing` rounds come of it."""
    if not rate:
        return 2.0
    return min(max(missing / rate, SHORTEST_S), LONGEST_S)


class Estimate:
    """Says how far a long run is, and how long the rest will take at the pace so far."""

    def __init__(self, rounds: int) -> None:
        self._rounds, self._began = rounds, time.monotonic()

    def text(self, played: int) -> str:
        passed = time.monotonic() - self._began
        left = f", {passed / played * (self._rounds - played):.0f} s left" if played else ""
        return f"memory: {played:,} of {self._rounds:,} rounds{left}"


def growth_bytes(points: Sequence[MemoryPoint], family: str) -> float | None:
    """Bytes that a round adds to the family, from SETTLED of the run on; None when that says nothing."""
    if not points:
        return None
    late = [point for point in points if point.rounds >= SETTLED * points[-1].rounds]
    first, last = late[0], late[-1]
    rounds = last.rounds - first.rounds
    return (last.resident[family] - first.resident[family]) / rounds if rounds else None
