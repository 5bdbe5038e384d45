"""Events as the outbox has them."""

import json
from typing import Any

from contracts.events import RecordedEvent
from events.catalogue import (
    ROUND_SETTLED,
    ROUND_VOID,
)

DATA: dict[str, Any] = {
    "player_id": "p-1",
    "session_id": "s-1",
    "round_id": "r-1",
    "game": {"id": "dice", "version": "1.0.0"},
    "mode": "base",
    "stake": {"amount": 100, "currency": "EUR"},
    "win": {"amount": 250, "currency": "EUR"},
    "balance": {"amount": 1_150, "currency": "EUR"},
}
SETTLED_DATA = {**DATA, "settled_at": "2026-11-22T16:00:00.123456Z"}
VOID_DATA = {
    **DATA,
    "win": {"amount": 0, "currency": "EUR"},
    "closed_at": "2026-11-22T16:00:00Z",
    "failure": {"code": "resolve-failed"},
}


def recorded(type_: str = ROUND_SETTLED, data: Any = None, **fields: Any) -> RecordedEvent:
    default = {ROUND_SETTLED: SETTLED_DATA, ROUND_VOID: VOID_DATA}.get(type_, {})
    values: dict[str, Any] = {
        "event_id": "e-1",
        "type": type_,
        "operator_id": "acme",
        "game_id": "dice",
        "subject": "r-1",
        "sequence": 7,
        "occurred_at": "2026-11-22T16:00:00Z",
        "data": json.dumps(default if data is None else data),
    }
    return RecordedEvent(**{**values, **fields})
