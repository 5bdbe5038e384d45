"""What the fast path says of its steps: the hold, the outcome's digest, the transfers, the event."""

import hashlib
import json
from typing import Any

import pytest

from activities import step_words as words
from contracts.actions import ActionVerdict, PlayerAction
from contracts.choices import Abandonment, Choice, Chosen, Offer, OpenRound
from contracts.rounds import DrawReference, Reservation, Resolution, RoundState
from tests.unit.contracts.test_search import BET
from tests.unit.timeline.test_timeline import view, void

DRAW = DrawReference(seed_id="a-seed", sealed_server_seed="v1.sealed", client_seed="c", nonce=4)
OFFER = Offer(
    choices=[Choice(action="collect"), Choice(action="gamble")],
    default=Chosen(action="collect"),
    decide_within_s=60,
    abandonment=Abandonment.COLLECT,
)
OPEN = OpenRound(offer=OFFER, actions=0, left_s=60.0)


@pytest.mark.parametrize(
    ("reservation", "expected"),
    [
        (Reservation(state=RoundState.PENDING, draw=DRAW), "held 125 EUR, nonce 4 of seed a-seed"),
        (
            Reservation(state=RoundState.DECLINED, failure_code="insufficient-funds"),
            "declined: insufficient-funds",
        ),
        (Reservation(state=RoundState.SETTLED), "settled"),
        (Reservation(state=RoundState.SETTLING, draw=DRAW), "found with its result on record"),
        (
            Reservation(state=RoundState.AWAITING_CHOICE, draw=DRAW, open=OPEN),
            "found as it was left: waits for the player: collect, gamble",
        ),
    ],
)
def test_a_reserve_says_the_hold_or_why_there_is_none(reservation: Reservation, expected: str) -> None:
    assert words.reserved(BET, reservation) == expected


@pytest.mark.parametrize("outcome", [{"roll": 9429, "won": True}, {"b": [1, None], "a": {"é": "x"}}, {}])
def test_a_resolve_says_the_digest_that_anybody_can_make_of_the_outcome(outcome: dict[str, Any]) -> None:
    document = json.dumps(outcome, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    digest = hashlib.sha256(document).hexdigest()[: words.DIGEST_CHARACTERS]
    assert words.resolved(BET, Resolution(outcome=outcome, win=250)) == (
        f"win 250 EUR, outcome sha256:{digest}"
    )


def test_a_resolve_that_leaves_the_round_open_says_so() -> None:
    assert words.resolved(BET, Resolution(outcome={}, win=0, offer=OFFER)).endswith(", and an offer")
    assert words.opened(OPEN) == "waits for the player: collect, gamble"


def test_a_settle_says_the_transfers_and_the_event() -> None:
    won = view(win=198, stake=100, event_id="an-event")
    assert words.settled(won) == (
        "100 EUR from player to house, 198 EUR from house to player, event an-event"
    )
    assert words.settled(view(win=0, extra=50, event_id=None)) == "150 EUR from player to house"
    assert words.settled(void()) == "void: resolve-failed"


def test_an_emit_says_whether_the_event_was_confirmed() -> None:
    assert words.emitted("an-event", confirmed=True) == "event an-event confirmed by the broker"
    assert words.emitted("an-event", confirmed=False) == "event an-event not confirmed yet"


def test_an_action_says_what_was_chosen_by_whom_and_the_verdict() -> None:
    chosen = Chosen(action="gamble", params={"color": "red"})
    action = PlayerAction(action_id="a1", chosen=chosen, request_id="r1")
    assert words.acted(action, ActionVerdict.TAKEN) == 'gamble {"color":"red"} by the player: taken'


def test_no_word_tells_a_seed() -> None:
    assert "sealed" not in words.reserved(BET, Reservation(state=RoundState.PENDING, draw=DRAW))
