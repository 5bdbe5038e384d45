"""How amounts, times and foreign values are worded in a row."""

import json
from datetime import UTC, datetime

from contracts.failures import one_line


def money(amount: int, currency: str) -> str:
    """Minor units and the currency: 100 EUR is one euro."""
    return f"{amount} {currency}"


def compact(value: object) -> str:
    """JSON in one bounded line."""
    return one_line(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
