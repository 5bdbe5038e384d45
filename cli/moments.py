"""Moments and spans as people type them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN: Final = re.compile(r"([0-9]{1,9})([smhd])")
HOW: Final = "a moment with its zone, such as 2026-11-27T14:03:00Z, or a time ago, such as 15m, 2h or 7d"
HOW_LONG: Final = "a span, such as 30s, 5m, 2h or 1d"


def moment(text: str, now: datetime) -> datetime:
    """In UTC. Raises ValueError, which says how one is typed."""
    try:
        if _SPAN.fullmatch(text) is not None:
            return now - span(text)
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError(HOW)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(HOW) from None


def span(text: str) -> timedelta:
    """Raises ValueError, which says how one is typed."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(HOW_LONG)
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def span_ago(text: str, now: datetime) -> timedelta:
    """A span that began in a year that there is. Raises ValueError as above."""
    try:
        return now - (now - span(text))
    except OverflowError:
        raise ValueError(HOW_LONG) from None
