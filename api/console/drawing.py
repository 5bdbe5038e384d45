"""A time line as it is drawn: a lane for each source, with a mark where something happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from timeline.model import Entry, Source

WIDTH: Final = 1_000
# Each up to so many seconds, and how many of these one has.
UNITS: Final = ((1, "ms", 0.001), (120, "s", 1), (7_200, "minutes", 60), (172_800, "hours", 3_600))


@dataclass(frozen=True, slots=True)
class Lane:
    """`marks` are places between 0 and WIDTH."""

    source: str
    marks: list[int]


@dataclass(frozen=True, slots=True)
class Drawing:
    lanes: list[Lane]
    took: str


def drawing(entries: Sequence[Entry]) -> Drawing | None:
    """Of entries in their order; None when there are none."""
    if not entries:
        return None
    begin, took = entries[0].at, entries[-1].at - entries[0].at
    lanes = []
    for source in Source:
        places = {_place(entry.at - begin, took) for entry in entries if entry.source is source}
        if places:
            lanes.append(Lane(source.value, sorted(places)))
    return Drawing(lanes, duration(took))


def _place(passed: timedelta, took: timedelta) -> int:
    return round(WIDTH * (passed / took)) if took else 0


def duration(took: timedelta) -> str:
    """For people: milliseconds, seconds, minutes, hours or days."""
    seconds = took.total_seconds()
    for limit, unit, size in UNITS:
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}"
    return f"{took.days} days"
