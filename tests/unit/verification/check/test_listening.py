from types import SimpleNamespace
from typing import Any

import pytest

from contracts.events import RecordedEvent
from events.catalogue import envelope
from events.publisher import KEY_ID_HEADER, SIGNATURE_HEADER
from security.keyring import Keyring
from security.signatures import SignatureVerifier, Signer
from verification.check.listening import EventLog

KEYRING = Keyring.generate()
SIGNER = Signer(KEYRING.events)
DATA = (
    '{"player_id": "check-1-0", "session_id": "s", "round_id": "r-1", "mode": "base",'
    ' "game": {"id": "dice", "version": "1.0.0"}, "stake": {"amount": 100, "currency": "EUR"},'
    ' "win": {"amount": 0, "currency": "EUR"}, "balance": {"amount": 900, "currency": "EUR"},'
    ' "settled_at": "2026-01-01T00:00:00Z"}'
)


def message(sequence: int = 1, *, data: str = DATA, event_id: str | None = None, **changes: Any) -> Any:
    """A delivery as the broker makes it."""
    event = RecordedEvent(
        event_id=event_id or f"event-{sequence}",
        type="round.settled",
        operator_id="demo",
        game_id="dice",
        subject="r-1",
        sequence=sequence,
        occurred_at="2026-01-01T00:00:00Z",
        data=data,
    )
    body = envelope(event)
    signature = SIGNER.sign(body)
    headers = {SIGNATURE_HEADER: signature.value, KEY_ID_HEADER: signature.key_id}
    fields = {"body": body, "headers": headers, "message_id": event.event_id}
    return SimpleNamespace(**fields | changes)


@pytest.fixture
def log() -> EventLog:
    return EventLog("check-1-", SignatureVerifier(KEYRING.events.public_keys()))


def test_an_event_heard_twice_counts_once(log: EventLog) -> None:
    log.hear(message())
    log.hear(message())
    assert len(log.events) == 1
    assert log.redelivered == 1
    assert log.unsound.count == 0


def test_a_repeat_that_says_something_else_is_unsound(log: EventLog) -> None:
    log.hear(message())
    log.hear(message(data=DATA.replace("900", "901")))
    assert log.unsound.count == 1


def test_an_event_that_was_overtaken_is_counted(log: EventLog) -> None:
    for sequence in (1, 3, 2, 4):
        log.hear(message(sequence))
    assert log.out_of_order == 1
    assert len(log.events) == 4


def test_events_of_other_players_are_not_kept(log: EventLog) -> None:
    log.hear(message(data=DATA.replace("check-1-0", "somebody"), headers={}))
    assert log.events == {}
    assert log.unsound.count == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {}},
        {"headers": {SIGNATURE_HEADER: "AAAA", KEY_ID_HEADER: "no-such-key"}},
        {"headers": {SIGNATURE_HEADER: "AAAA", KEY_ID_HEADER: KEYRING.events.active}},
        {"message_id": "another"},
        {"body": b"{}"},
    ],
    ids=["unsigned", "unknown key", "bad signature", "another message id", "no event"],
)
def test_an_unsound_event_is_named(log: EventLog, changes: dict[str, Any]) -> None:
    log.hear(message(**changes))
    assert log.unsound.count == 1
