"""Moments and spans as people type them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
SPAN: Final = re.compile(r"(\d{1,9})([smhd])")
HOW: Final = "a moment with its zone, such as 2026-11-27T14:03:00Z, or a time ago, such as 15m, 2h or 7d"


def moment(text: str, now: datetime) -> datetime:
    """Raises ValueError, which says how one is typed."""
    if (spanned := SPAN.fullmatch(text)) is not None:
        try:
            return now - timedelta(**{UNITS[spanned[2]]: int(spanned[1])})
        except OverflowError:
            raise ValueError(HOW) from None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(HOW) from None
    if found.tzinfo is None:
        raise ValueError(HOW)
    return found.astimezone(UTC)
