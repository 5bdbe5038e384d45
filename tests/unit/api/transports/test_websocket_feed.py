"""What a socket is told unasked: each state once, no answer of its own again, and nothing is lost between."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from api.result.schemas import round_body
from api.transports.websocket.feed import HELD_LIMIT, REMEMBERED, RESYNC, Feed
from contracts.rounds import RoundKey, RoundState
from contracts.sessions import SessionClaims
from contracts.views import RoundView

CLAIMS = SessionClaims(
    session_id="s",
    operator_id="acme",
    player_id="anna",
    player_key=7,
    account_id=1,
    game_id="dice",
    currency="EUR",
    mode="real",
    expires_at=2**40,
)
AT = datetime(2026, 11, 23, tzinfo=UTC)


def settled(sequence: int) -> RoundView:
    return RoundView(
        key=RoundKey(operator_id="acme", player_key=7, round_id=f"r-{sequence}"),
        player_id="anna",
        account_id=1,
        session_id="s",
        game_id="dice",
        game_version="1.0.0",
        currency="EUR",
        mode="base",
        stake=100,
        choice=None,
        request_id="q",
        state=RoundState.SETTLED,
        outcome={},
        win=0,
        balance=900,
        sequence=sequence,
        event_id=f"e-{sequence}",
        failure_code=None,
        failure_detail=None,
        seed_id=None,
        sealed_server_seed=None,
        server_seed_hash=None,
        client_seed=None,
        nonce=None,
        created_at=AT,
        closed_at=AT,
    )


def waiting(sequence: int, **changes: Any) -> RoundView:
    """The same round before its end."""
    open_ = replace(
        settled(sequence), state=RoundState.AWAITING_CHOICE, sequence=None, balance=None, closed_at=None
    )
    return replace(open_, **changes)


class Told:
    def __init__(self, *, begun: bool = True) -> None:
        self.messages: list[Any] = []
        self.closed: list[RoundView] = []
        self.feed = Feed(
            CLAIMS,
            push=self.messages.append,
            on_closed=self.closed.append,
            on_session_ended=lambda: self.messages.append("ended"),
        )
        if begun:
            self.feed.begin(0)

    @property
    def rounds(self) -> list[tuple[str, str]]:
        return [(message["round"]["round_id"], message["round"]["state"]) for message in self.messages]


def test_a_state_is_told_once() -> None:
    told = Told()
    for view in (waiting(1), waiting(1), waiting(1, outcome={"step": 2}), settled(1), settled(1), waiting(2)):
        told.feed.push_round(view)
    assert told.rounds == [
        ("r-1", "awaiting_choice"),
        ("r-1", "awaiting_choice"),
        ("r-1", "settled"),
        ("r-2", "awaiting_choice"),
    ]
    assert told.closed == [settled(1)]


def test_a_late_word_of_an_earlier_state_changes_nothing() -> None:
    told = Told()
    told.feed.push_round(settled(1))
    told.feed.push_round(waiting(1))
    assert told.rounds == [("r-1", "settled")]


def test_an_answer_is_not_told_again() -> None:
    told = Told()
    with told.feed.expecting("r-1"):
        told.feed.remember(round_body(settled(1)))
    assert told.feed.knows_the_end_of("r-1")
    told.feed.push_round(settled(1))
    assert told.messages == []


@pytest.mark.parametrize(("answered", "pushed"), [("settled", []), ("pending", [("r-1", "settled")])])
def test_what_comes_before_the_answer_waits_for_it(answered: str, pushed: list[Any]) -> None:
    """Else a round whose answer is `pending` could have been told settled first, or never."""
    told = Told()
    with told.feed.expecting("r-1"), told.feed.expecting("r-1"):
        told.feed.push_round(settled(1))
        told.feed.remember(round_body(settled(1)) | {"state": answered})
        assert told.messages == []
    assert told.rounds == pushed


def test_what_comes_during_the_hello_follows_it_without_what_the_hello_told() -> None:
    told = Told(begun=False)
    for sequence in (6, 5, 4):
        told.feed.push_round(settled(sequence))
    assert told.messages == []
    told.feed.begin(5)
    assert told.rounds == [("r-6", "settled")]


def test_what_is_missed_during_the_hello_is_said_after_it() -> None:
    told = Told(begun=False)
    told.feed.push_missed()
    told.feed.begin(0)
    assert told.messages == [RESYNC]
    flooded = Told(begun=False)
    for sequence in range(HELD_LIMIT + 1):
        flooded.feed.push_round(settled(sequence + 1))
    flooded.feed.begin(0)
    assert len(flooded.messages) == HELD_LIMIT + 1
    assert flooded.messages[-1] == RESYNC


def test_only_a_few_rounds_are_remembered() -> None:
    told = Told()
    for sequence in range(REMEMBERED + 1):
        told.feed.push_round(settled(sequence + 1))
    assert not told.feed.knows_the_end_of("r-1")
    assert told.feed.knows_the_end_of(f"r-{REMEMBERED + 1}")
