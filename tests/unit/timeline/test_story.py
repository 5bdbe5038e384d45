"""A round's story: every kind of round in sentences, without a name of a field or a bracket of JSON."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts import failures
from contracts.choices import AskedAction, Choice, Chosen, Offer
from contracts.interventions import Action, InterventionVerdict
from contracts.records import AttemptFact, InterventionFact, RoundRecord
from contracts.rounds import RoundKey, RoundState
from contracts.views import RoundView
from contracts.wallet import WalletCall, WalletVerdict
from timeline.story import WHY, sentences
from timeline.wording import compact

START = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
OFFER = Offer(
    choices=[Choice(action="stand"), Choice(action="double", debit=100)],
    default=Chosen(action="stand"),
    decide_within_s=60,
)
RAISED = {
    "action_id": "a1",
    "action": "raise",
    "params": {"color": "red"},
    "debit": 50,
    "by": "player",
    "at": "2026-11-22T16:00:00.015Z",
}
BY_THE_TIMER = {**RAISED, "action": "collect", "params": {}, "debit": 0, "by": "timer"}


def view(state: RoundState = RoundState.SETTLED, **changes: Any) -> RoundView:
    nothing: dict[str, Any] = dict.fromkeys(RoundView.__slots__)
    known = {
        "key": RoundKey(operator_id="acme", player_key=7, round_id="r-1"),
        "player_id": "alice",
        "account_id": 12,
        "session_id": "a-session",
        "game_id": "dice",
        "game_version": "1.0.0",
        "currency": "EUR",
        "mode": "base",
        "stake": 100,
        "extra": 0,
        "actions": 0,
        "demo": False,
        "choice": {"direction": "over", "target": 5000},
        "state": state,
        "outcome": {"roll": 9429, "won": True},
        "win": 198,
        "seed_id": "a-seed",
        "created_at": START,
        "closed_at": START + timedelta(milliseconds=21),
    }
    return RoundView(**{**nothing, **known, **changes})


def told(view_: RoundView, *, done: bool = True, **changes: Any) -> list[str]:
    record = RoundRecord(view=view_, transfers=(), attempts=(), interventions=(), event=None)
    found = list(sentences(dataclasses.replace(record, **changes), done=done))
    assert all(sentence.endswith(".") for sentence in found)
    assert not any(bracket in sentence for sentence in found for bracket in "{}[]")
    return found


def attempt(call: WalletCall, verdict: WalletVerdict) -> AttemptFact:
    return AttemptFact(
        call=call,
        transaction_id="t-1",
        amount=100,
        verdict=verdict,
        code=None,
        sent=True,
        duplicate=False,
        took_us=1,
        detail="",
        created_at=START,
    )


def test_a_settled_round() -> None:
    assert told(view(balance=1098)) == [
        "Player alice bet 100 EUR on dice 1.0.0 at 2026-11-22 16:00:00: direction over, target 5000.",
        "The stake was held on account 12.",
        "It settled after 21 ms and won 198 EUR; 1098 EUR were available then.",
        "Its outcome: roll 9429, won yes.",
        "Nothing is left to do.",
    ]


def test_a_round_that_is_not_done_with() -> None:
    assert "Nothing is left to do." not in told(view(), done=False)


def test_a_round_of_demo_money_and_of_a_brand() -> None:
    first, second, *_ = told(view(demo=True, brand="north", mode="bonus"))
    assert first.startswith("Player alice of the brand north bet 100 EUR on dice 1.0.0 in the mode bonus at")
    assert second == "It is played with demo money: no wallet hears of it, and no report counts it."


def test_a_round_with_actions_that_cost_and_with_the_timers() -> None:
    lines = told(view(extra=50, actions=2, taken=[RAISED, BY_THE_TIMER]))
    assert "The player chose raise (color red) for 50 EUR." in lines
    assert "Nobody decided in time, and the timer chose collect." in lines


def test_a_void_round() -> None:
    lines = told(
        view(RoundState.VOID, outcome=None, win=0, failure_code="resolve-failed", failure_detail="GameError")
    )
    assert lines[-2:] == [
        "It is void, because the game gave no outcome (resolve-failed: GameError); 100 EUR were released.",
        "Nothing is left to do.",
    ]


def test_a_declined_bet() -> None:
    lines = told(view(RoundState.DECLINED, seed_id=None, failure_code="insufficient-funds"))
    assert lines[1:] == [
        "The bet was declined, because the player did not have as much (insufficient-funds); nothing was"
        " held.",
        "Nothing is left to do.",
    ]


def test_a_round_at_a_wallet_that_does_not_take_the_win() -> None:
    asked = (
        attempt(WalletCall.BET, WalletVerdict.UNKNOWN),
        attempt(WalletCall.BET, WalletVerdict.ACCEPTED),
        attempt(WalletCall.WIN, WalletVerdict.UNKNOWN),
    )
    lines = told(view(RoundState.SETTLING, closed_at=None), done=False, attempts=asked)
    assert lines[1:] == [
        "The operator's wallet was asked for it 2 times, and took the stake.",
        "Its result is on record, a win of 198 EUR, and the operator's wallet has not taken it.",
    ]


def test_a_bet_that_could_not_be_sent_to_its_wallet() -> None:
    unsent = dataclasses.replace(attempt(WalletCall.BET, WalletVerdict.UNKNOWN), sent=False)
    begun = view(RoundState.PENDING, seed_id=None, closed_at=None)
    assert told(begun, done=False, attempts=(unsent,))[1:] == [
        "The operator's wallet could not be asked for it."
    ]
    sent = attempt(WalletCall.BET, WalletVerdict.UNKNOWN)
    asked_once = "The operator's wallet was asked for it once, and has not taken the stake."
    assert told(begun, done=False, attempts=(unsent, sent))[1:] == [asked_once]


def test_a_bet_that_no_wallet_has_answered() -> None:
    begun = view(RoundState.PENDING, seed_id=None, closed_at=None)
    assert told(begun, done=False)[1:] == ["Nothing is held for it yet."]


def test_a_round_without_a_result() -> None:
    assert told(view(RoundState.PENDING, closed_at=None), done=False)[-1] == "It has no result yet."


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "It waits for its player, without end, to choose stand or double for 100 EUR."),
        (
            {"decide_by": START + timedelta(minutes=1)},
            "It waits for its player, until 2026-11-22 16:01:00, to choose stand or double for 100 EUR.",
        ),
        (
            {
                "asked": AskedAction(
                    action_id="a", chosen=Chosen(action="double"), request_id="r", by="player"
                )
            },
            "The operator's wallet is asked for what double costs, and has not answered.",
        ),
    ],
)
def test_a_round_that_waits(changes: dict[str, Any], expected: str) -> None:
    waits = view(RoundState.AWAITING_CHOICE, closed_at=None, offer=OFFER, **changes)
    assert told(waits, done=False)[-1] == expected


def test_what_a_person_decided() -> None:
    decision = InterventionFact(
        action=Action.VOID,
        reason="ticket 4711",
        actor="cli:ops",
        verdict=InterventionVerdict.ACCEPTED,
        created_at=START,
    )
    lines = told(view(RoundState.VOID, failure_code="voided-by-operator"), interventions=(decision,))
    assert 'cli:ops decided void, because "ticket 4711"; the ledger accepted it.' in lines


def test_every_failure_has_its_reason_in_words_and_one_state() -> None:
    assert set(WHY) == failures.OF_DECLINED | failures.OF_VOID
    assert not failures.OF_DECLINED & failures.OF_VOID


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"roll": 7, "won": False, "top_prize": None}, "roll 7, won no, top prize none"),
        ({"spins": [[1, 2], [3]], "at": {"x": 1}}, "spins ((1, 2), (3)), at (x 1)"),
        ({}, "nothing"),
        ([], "none"),
        ({"list": [], "text": "two\nlines"}, "list none, text two lines"),
        ("plain", "plain"),
    ],
)
def test_json_is_put_into_words(value: object, words: str) -> None:
    assert compact(value) == words
