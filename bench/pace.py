"""When the next round is due: at once (closed loop), or at a fixed rate whatever the answers do (open loop).

In the open loop a latency counts from the moment the round was due, not from when a connection was free to
send it. A server that stalls therefore shows its stall in every round that would have arrived meanwhile:
that is the correction for coordinated omission. Times are seconds of one clock that only goes forward.
"""

from __future__ import annotations

from typing import Protocol


class Pace(Protocol):
    """Says when rounds are due. `take` and `due_at` know nothing of connections."""

    def take(self, now: float) -> float | None:
        """The moment from which the next round's latency counts, or None when none is due now."""

    def due_at(self) -> float | None:
        """When the next round is due, or None when there will be none."""


class ClosedLoop:
    """A player bets again as soon as the last round is answered, until `end`."""

    def __init__(self, *, end: float) -> None:
        self._end = end
        self._ended = False

    def take(self, now: float) -> float | None:
        self._ended = self._ended or now >= self._end
        return None if self._ended else now

    def due_at(self) -> float | None:
        return None


class OpenLoop:
    """`rate` rounds a second are due between `start` and `end`, evenly, and none of them is left out."""

    def __init__(self, *, rate: float, start: float, end: float) -> None:
        assert rate > 0
        self._rate, self._start, self._end = rate, start, end
        self._taken = 0

    def take(self, now: float) -> float | None:
        due = self.due_at()
        if due is None or due > now:
            return None
        self._taken += 1
        return due

    def due_at(self) -> float | None:
        due = self._start + self._taken / self._rate
        return due if due < self._end else None

    def overdue(self, now: float) -> list[float]:
        """Takes all that are due and were never sent."""
        found = []
        while (due := self.take(now)) is not None:
            found.append(due)
        return found
