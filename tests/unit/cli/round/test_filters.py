"""Filters that make no sense are refused before anything is read, in words that say what does."""

from datetime import UTC, datetime, timedelta

import pytest

from cli.moments import moment
from cli.round.filters import Asked, checked
from contracts.rounds import RoundState
from contracts.views import EVERY_OPERATOR
from tests.support.commands import invoke

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)

NONSENSE = [
    (("--state", "stuck"), "--state is one of pending"),
    (("--operator", "no such/thing"), "--operator is 1 to 64"),
    (("--operator", ""), "--operator is 1 to 64"),
    (("--game", "a b"), "--game is 1 to 64"),
    (("--brand", "x" * 65), "--brand is 1 to 64"),
    (("--player", "alice"), "--player needs --operator"),
    (("--failure", "bad-luck"), "--failure is one of abandoned"),
    (("--failure", "resolve-failed", "--state", "settled"), "is of rounds that are void"),
    (("--currency", "euro"), "--currency is a code"),
    (("--stake-at-least", "-1"), "--stake-at-least is a number"),
    (("--win-at-least", str(2**63)), "--win-at-least is a number"),
    (("--from", "yesterday"), "--from is a moment with its zone"),
    (("--from", "2026-11-27T14:03:00"), "--from is a moment with its zone"),
    (("--to", "9999999999d"), "--to is a moment with its zone"),
    (("--from", "0001-01-01T00:00:00+14:00"), "--from is a moment with its zone"),
    (("--to", "9999-12-31T23:59:59-14:00"), "--to is a moment with its zone"),
    (("--from", "\uff11\uff15m"), "--from is a moment with its zone"),
    (("--from", "1h", "--to", "2h"), "--from is before --to"),
    (("--limit", "0"), "greater than or equal to 1"),
    (("--limit", "1001"), "less than or equal to 1000"),
]
MANY = ("--action", "void", "--reason", "ticket 1")
NONSENSE_OF_MANY = [
    ((), "name a round, or --operator, or say --every-operator"),
    (("--operator", "a", "--every-operator"), "name a round, or --operator, or say"),
    (("--operator", "a", "--state", "settled"), "nothing else is open"),
    (("--operator", "a", "--dry-run", "--confirm", "3"), "say one of them"),
    (("--operator", "a", "--to", "0001-01-01T00:00:00+05:00"), "--to is a moment with its zone"),
    (("--operator", "a", "--confirm", "0"), "greater than or equal to 1"),
    (("--operator", "a", "--limit", "1001"), "less than or equal to 1000"),
    (("r-1", "--game", "dice"), "--game: for many rounds"),
    (("r-1", "--every-operator", "--confirm", "1"), "--every-operator, --confirm: for many rounds"),
]


@pytest.mark.parametrize(("options", "said"), NONSENSE)
def test_nonsense_is_refused_by_a_list(options: tuple[str, ...], said: str) -> None:
    refused(("round", "list", *options), said)


@pytest.mark.parametrize(("options", "said"), NONSENSE_OF_MANY)
def test_nonsense_is_refused_by_a_decision_about_many(options: tuple[str, ...], said: str) -> None:
    refused(("round", "resolve", *options, *MANY), said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("stuck", "--older-than", "1w"), "--older-than is a span"),
        (("stuck", "--older-than", "999999999d"), "--older-than is a span"),
        (("stuck", "--operator", "a/b"), "--operator is 1 to 64"),
        (("round", "now", "--operator", "a/b"), "--operator is 1 to 64"),
        (("round", "resolve", "r-1", "--action", "pay", "--reason", "x"), "--action is one of retry-now"),
    ],
)
def test_nonsense_is_refused_by_the_others(options: tuple[str, ...], said: str) -> None:
    refused(options, said)


def refused(arguments: tuple[str, ...], said: str) -> None:
    code, output, errors = invoke({"COLUMNS": "400"}, *arguments)
    assert (code, output) == (2, "")
    assert said in errors


def test_nobody_named_is_every_operator_said_aloud() -> None:
    assert checked(Asked()).operator_id is EVERY_OPERATOR
    assert checked(Asked(operator="demo")).operator_id == "demo"
    assert checked(Asked(state="void")).state is RoundState.VOID


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("15m", NOW - timedelta(minutes=15)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("0s", NOW),
        ("2026-11-27T14:03:00+02:00", datetime(2026, 11, 27, 12, 3, tzinfo=UTC)),
        ("2026-11-27T14:03:00Z", datetime(2026, 11, 27, 14, 3, tzinfo=UTC)),
    ],
)
def test_a_moment_is_typed_as_one_or_as_a_time_ago(text: str, at: datetime) -> None:
    assert moment(text, NOW) == at
