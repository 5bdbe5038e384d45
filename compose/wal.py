"""What an archive of WAL holds: its timelines, the segments on the way to one, and when their transactions
were committed.

A restore ends with a timeline of its own, from some place of another one on. Its `.history` file says which
timelines led there, and where each was left.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from compose.postgres import programs

SEGMENT_BYTES: Final = 16 * 2**20
HISTORY: Final = re.compile(r"([0-9A-F]{8})\.history")
# A timeline, the place where it was left, and why: for a moment before or after a transaction.
LEFT: Final = re.compile(
    r"^(\d+)\t([0-9A-F]+)/([0-9A-F]+)\t(?:(?:before|after) (\d{4}-\S+ \S+))?", re.MULTILINE
)
SEGMENT: Final = re.compile(r"[0-9A-F]{24}")
COMMIT: Final = re.compile(r"desc: COMMIT (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """The way to a timeline is of it and those before it, from one place in the WAL on each. `left` is the
    time of the transaction at which the next one left it, where that was for a moment."""

    timeline: int
    begins: int
    left: datetime | None = None


def histories(archive: Path) -> list[int]:
    """The timelines that restores began."""
    found = (HISTORY.fullmatch(path.name) for path in archive.glob("*.history"))
    return [int(match[1], 16) for match in found if match is not None]


def way_to(archive: Path, timeline: int) -> list[Leg]:
    """Oldest first. A timeline without a history is the first one, or older than the archive."""
    try:
        text = (archive / f"{timeline:08X}.history").read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    legs, begins = [], 0
    for before, high, low, at in LEFT.findall(text):
        left = datetime.fromisoformat(at) if at else None
        legs.append(Leg(timeline=int(before), begins=begins, left=left))
        begins = int(high, 16) * 2**32 + int(low, 16)
    return [*legs, Leg(timeline=timeline, begins=begins)]


def segment_on(legs: list[Leg], at: int) -> str:
    """The one of this number that PostgreSQL replays. Where a timeline begins within a segment, it has a copy
    of what was there before."""
    # One timeline may have been left before the place at which it began: the newest one decides.
    return next(named(leg.timeline, at) for leg in reversed(legs) if leg.begins // SEGMENT_BYTES <= at)


def run(program: str, *arguments: str, password: str = "") -> subprocess.CompletedProcess[str]:
    """One of PostgreSQL's own programs. A password goes by the environment, never by the arguments."""
    return subprocess.run(
        [str(programs() / "bin" / program), *arguments],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PGPASSWORD": password},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def commits(segment: Path, *arguments: str) -> list[datetime]:
    """When the transactions of a segment were committed, in their order."""
    # It ends with an error where the segment's last record goes on in the next one: what it read counts.
    said = run("pg_waldump", "--rmgr=Transaction", *arguments, str(segment)).stdout
    return [datetime.fromisoformat(found).replace(tzinfo=UTC) for found in COMMIT.findall(said)]


def first_commit(archive: Path, leg: Leg) -> datetime | None:
    """That of the first transaction that the timeline has for itself."""
    at = leg.begins // SEGMENT_BYTES
    # Its first segment begins with a copy of what the timeline before it had.
    start = [f"--start={leg.begins >> 32:X}/{leg.begins & 0xFFFFFFFF:X}"]
    while (segment := archive / named(leg.timeline, at)).exists():
        if found := commits(segment, *start):
            return found[0]
        at, start = at + 1, []
    return None


def number(name: str) -> int:
    """Of a segment of 16 MiB, counted from the first, whatever its timeline."""
    return int(name[8:16], 16) * 256 + int(name[16:], 16)


def named(timeline: int, at: int) -> str:
    """The segment of this timeline and number."""
    return f"{timeline:08X}{at // 256:08X}{at % 256:08X}"
