"""A session's limits: requested by the operator, narrowed by the jurisdiction, enforced by the
ledger's functions from what is stored with the session (`storage/functions/25_limits.sql`)."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """Amounts are in minor units of the session's currency; None does not limit. `stakes` are the only ones
    that may be bet, `loss_limit` is of the session's net loss, and `min_cycle_ms` from one round's start to
    the next one's, of one player at one game."""

    max_stake: int | None = None
    stakes: tuple[int, ...] | None = None
    loss_limit: int | None = None
    max_session_s: int | None = None
    min_cycle_ms: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The limits that there are, by name, as they are stored and shown."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in named
            if value is not None
        }

    def allows(self, stake: int) -> bool:
        """Returns whether the stake by itself is within the limits."""
        return (self.max_stake is None or stake <= self.max_stake) and (
            self.stakes is None or stake in self.stakes
        )

    def stricter(self, other: "SessionLimits") -> "SessionLimits":
        """Returns the stricter one of each limit."""
        return SessionLimits(
            max_stake=_least((self.max_stake, other.max_stake)),
            stakes=_common(self.stakes, other.stakes),
            loss_limit=_least((self.loss_limit, other.loss_limit)),
            max_session_s=_least((self.max_session_s, other.max_session_s)),
            min_cycle_ms=max(self.min_cycle_ms or 0, other.min_cycle_ms or 0) or None,
        )


def _least(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _common(one: tuple[int, ...] | None, other: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(sorted(set(one) & set(other)))
