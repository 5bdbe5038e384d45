"""A round's time line: rows from what is stored and from a history, decrypted, bounded, in order."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.round.lines import lines as lines_of
from contracts.choices import Choice, Chosen, Offer
from contracts.failures import one_line
from contracts.records import EventFact, RoundRecord, TransferFact
from contracts.rounds import (
    RoundKey,
    RoundState,
)
from contracts.views import RoundView
from timeline.ledger import ledger_entries
from timeline.model import Entry, Source, WorkflowStory
from timeline.timeline import Timeline

START = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
KEY = RoundKey(operator_id="acme", player_key=7, round_id="r-1")
EVENT_ID = "df135084-baab-4f25-9d9d-7cb3a4169e07"
SEALED = "v1.seeds-1.c2VhbGVk"


def after(milliseconds: int) -> datetime:
    return START + timedelta(milliseconds=milliseconds)


def view(state: RoundState = RoundState.SETTLED, **changes: Any) -> RoundView:
    settled = RoundView(
        key=KEY,
        player_id="alice",
        account_id=12,
        session_id="a-session",
        game_id="dice",
        game_version="1.0.0",
        currency="EUR",
        mode="base",
        stake=100,
        choice={"direction": "over"},
        request_id="a-request",
        state=state,
        outcome={"roll": 9429},
        win=198,
        balance=1098,
        sequence=1,
        event_id=EVENT_ID,
        failure_code=None,
        failure_detail=None,
        seed_id="a-seed",
        sealed_server_seed=SEALED,
        server_seed_hash="a-hash",
        client_seed="a-client-seed",
        nonce=0,
        created_at=after(10),
        closed_at=after(20),
    )
    return dataclasses.replace(settled, **changes)


def void(**changes: Any) -> RoundView:
    fields = {"outcome": None, "win": 0, "balance": 1000, "failure_code": "resolve-failed"}
    return view(RoundState.VOID, **{**fields, **changes})


def open_round() -> RoundView:
    nothing_yet: dict[str, Any] = dict.fromkeys(("outcome", "balance", "sequence", "event_id", "closed_at"))
    return view(RoundState.PENDING, win=0, **nothing_yet)


ACCOUNTS = {"player": 12, "house": 2}


def transfer(kind: str, amount: int, debit: str, credit: str) -> TransferFact:
    return TransferFact(
        kind=kind,
        amount=amount,
        currency="EUR",
        debit_account=ACCOUNTS[debit],
        debit_kind=debit,
        credit_account=ACCOUNTS[credit],
        credit_kind=credit,
        available_after=900,
        position=3,
        created_at=after(19),
    )


def event(**changes: Any) -> EventFact:
    out = EventFact(
        event_id=EVENT_ID,
        type="round.settled",
        sequence=1,
        occurred_at=after(20),
        published_at=after(30),
        applied_at=after(29),  # the broker hands on what it has not yet confirmed to its publisher
    )
    return dataclasses.replace(out, **changes)


def record(view_: RoundView, *transfers: TransferFact, event: EventFact | None = None) -> RoundRecord:
    return RoundRecord(view=view_, transfers=transfers, attempts=(), interventions=(), event=event)


def story(**changes: Any) -> WorkflowStory:
    return WorkflowStory(workflow_id=KEY.workflow_id, **changes)


def whats(record_: RoundRecord) -> list[str]:
    return [entry.what for entry in ledger_entries(record_)]


class TestWhatIsStored:
    def test_of_a_settled_round_tells_both_accounts_of_each_transfer(self) -> None:
        moved = (transfer("stake", 100, "player", "house"), transfer("win", 198, "house", "player"))
        assert whats(record(view(), *moved, event=event())) == [
            "created: stake 100 EUR at dice 1.0.0, session a-session",
            "held 100 EUR on account 12",
            "stake: 100 EUR from player account 12 to house account 2, available 900 EUR, link 3",
            "win: 198 EUR from house account 2 to player account 12, available 900 EUR, link 3",
            "settled: win 198 EUR, available 1098 EUR",
            f"recorded: round.settled {EVENT_ID}, the player's number 1",
            "published: the broker has confirmed it",
            "applied",
        ]

    def test_of_a_void_round_tells_that_the_hold_was_given_back(self) -> None:
        assert whats(record(void()))[-2:] == [
            "hold of 100 EUR released",
            "void: resolve-failed, available 1000 EUR",
        ]

    def test_of_a_tombstone_tells_that_there_was_no_hold(self) -> None:
        tombstone = void(seed_id=None, failure_code="reserve-uncertain")
        assert whats(record(tombstone))[1:] == [
            "there was no hold to release",
            "void: reserve-uncertain, available 1000 EUR",
        ]

    def test_of_a_declined_round_tells_no_hold(self) -> None:
        declined = view(
            RoundState.DECLINED, seed_id=None, event_id=None, failure_code="insufficient-funds", balance=5
        )
        assert whats(record(declined))[1:] == ["declined: insufficient-funds, available 5 EUR"]


class TestATimeline:
    def test_is_in_the_order_of_time_and_begins_with_the_workflow(self) -> None:
        started = Entry(START, Source.WORKFLOW, "started")
        done = Entry(after(40), Source.WORKFLOW, "completed")
        shown = Timeline(record(view(), event=event()), story(entries=(started, done), status="completed"))
        times = [entry.at for entry in shown.entries()]
        assert times == sorted(times)
        assert [entry.source for entry in shown.entries()][-3:] == ["statistics", "event", "workflow"]
        assert shown.now() == []

    def test_shows_every_choice_and_what_it_cost(self) -> None:
        taken = {
            "action_id": "a1",
            "action": "raise",
            "params": {"color": "red"},
            "debit": 50,
            "by": "player",
            "at": "2026-01-01T00:00:00.015Z",
        }
        chosen = view(extra=50, actions=1, taken=[taken])
        lines = "\n".join(lines_of(Timeline(record(chosen, event=event()), story())))
        assert "the player chose raise (color red) for 50 EUR, a1" in lines
        assert "stake 150 EUR, win 198 EUR" in lines

    def test_says_what_an_open_round_waits_for(self) -> None:
        offer = Offer(
            choices=[Choice(action="collect"), Choice(action="gamble")],
            default=Chosen(action="collect"),
            decide_within_s=60,
        )
        waits = dataclasses.replace(open_round(), state=RoundState.AWAITING_CHOICE, offer=offer)
        assert any("collect, gamble" in line for line in lines_of(Timeline(record(waits), story())))

    def test_never_shows_a_server_seed_not_even_sealed(self) -> None:
        shown = Timeline(record(view(), event=event()), story())
        assert SEALED not in "\n".join(lines_of(shown)) + json.dumps(shown.as_dict())
        assert "server seed sealed, its hash a-hash" in "\n".join(lines_of(shown))

    def test_says_why_there_is_no_history_and_shows_the_rest(self) -> None:
        lines = list(lines_of(Timeline(record(view(), event=event()), story(missing="it is forgotten"))))
        assert lines[0] == "round r-1 of player alice, operator acme: settled"
        assert lines[-1] == "no history: it is forgotten"
        assert any(line.endswith("statistics  applied") for line in lines)

    @pytest.mark.parametrize(
        ("stored", "status", "expected"),
        [
            (record(open_round()), "running", ["100 EUR are held since 2026-11-22T16:00:00.010000Z"]),
            (
                record(open_round()),
                "terminated",
                [
                    "100 EUR are held since 2026-11-22T16:00:00.010000Z",
                    "nothing brings the round to its end: its workflow is terminated",
                ],
            ),
            (
                record(view(), event=event(published_at=None, applied_at=None)),
                "running",
                ["the event waits for the broker since 2026-11-22T16:00:00.020000Z"],
            ),
            (
                record(view(), event=event(applied_at=None)),
                "completed",
                ["the statistics have not applied the event since 2026-11-22T16:00:00.030000Z"],
            ),
            (
                record(view(RoundState.DECLINED), event=event(type="round.declined", applied_at=None)),
                "completed",
                [],
            ),
        ],
    )
    def test_says_what_is_not_finished(self, stored: RoundRecord, status: str, expected: list[str]) -> None:
        assert Timeline(stored, story(status=status)).now() == expected

    def test_keeps_foreign_text_in_one_bounded_line(self) -> None:
        detail = "GameError: two\nlines \x1b[31m" + "x" * 1000
        sentence, failure = [
            line
            for line in lines_of(Timeline(record(void(failure_detail=detail)), story()))
            if "GameError" in line
        ]
        assert "(resolve-failed: GameError: two lines  [31mxxx" in sentence
        assert failure.startswith("  failure   resolve-failed GameError: two lines  [31mxxx")
        assert (len(sentence), len(failure)) < (450, 350)
        assert one_line("a\tb\u2028c") == "a b c"
