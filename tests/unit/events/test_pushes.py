"""What a push says: ids, and nothing that is believed."""

import json
from typing import Any

import pytest

from contracts.events import RecordedEvent
from events.catalogue import envelope, players_key, routing_key
from events.pushes import PlayerName, RoundChanged, SessionEnded, parse

ANNA = PlayerName(operator_id="acme", player_id="anna")


def event(type_: str, data: dict[str, Any]) -> RecordedEvent:
    return RecordedEvent(
        event_id="e-1",
        type=type_,
        operator_id="acme",
        game_id="dice",
        subject="r-1",
        sequence=1,
        occurred_at="2026-11-23T01:00:00Z",
        data=json.dumps(data),
    )


@pytest.mark.parametrize("type_", ["round.settled", "round.void"])
def test_the_event_of_a_closed_round_is_a_push_to_its_player(type_: str) -> None:
    closed = event(type_, {"player_id": "anna"})
    assert players_key(closed) == ANNA.key
    assert parse(type_, envelope(closed)) == RoundChanged(player=ANNA, round_id="r-1", final=True)


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("incident.opened", {"player_id": "anna"}),
        ("game.event", {"player_id": "anna"}),
        ("round.settled", {}),
    ],
)
def test_other_events_are_none(type_: str, data: dict[str, Any]) -> None:
    assert players_key(event(type_, data)) is None


def test_a_players_key_has_fewer_words_than_any_events_own() -> None:
    """So no pattern that a consumer binds for events takes one for the other."""
    assert len(ANNA.key.split(".")) == 3
    assert len(routing_key(event("round.settled", {})).split(".")) > 3


def test_the_pushes_of_their_own() -> None:
    changed = {"operator": "acme", "player_id": "anna", "round_id": "r-1"}
    assert parse("push.round", json.dumps(changed).encode()) == RoundChanged(
        player=ANNA, round_id="r-1", final=False
    )
    assert parse("push.session-ended", b'{"session_id": "s-1"}') == SessionEnded(session_id="s-1")
    assert parse("push.of-a-later-release", b"{}") is None


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("push.round", b"not json"),
        ("push.round", b"[]"),
        ("push.round", b'{"operator": "acme", "player_id": 7, "round_id": "r"}'),
        ("push.round", b'{"operator": "acme", "player_id": "anna"}'),
        ("push.session-ended", b'{"session_id": null}'),
        ("round.settled", b'{"operator": "acme", "subject": "r", "data": "x"}'),
    ],
)
def test_what_is_not_ours_cannot_be_read(kind: str, body: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse(kind, body)
