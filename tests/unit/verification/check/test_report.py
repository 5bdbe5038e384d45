import io
import json
from dataclasses import replace

from rich.console import Console

from cli.stack.check import render
from verification.check.report import GameSums, Report
from verification.findings import EXAMPLES, Finding, Tally

HOLDS = Finding(code="I1", name="sums", title="the ledger sums to zero", count=0, examples=())
BROKEN = Finding(
    code="I4", name="events", title="each event arrives", count=7, examples=("event [red]1[/red]: lost",)
)
REPORT = Report(
    rounds=50,
    players=8,
    seconds=1.5,
    repeated=9,
    refused=5,
    p50_ms=12.34,
    p99_ms=56.78,
    sums={
        ("dice", "EUR"): GameSums(20, 2_000, 1_900),
        ("dice", "USD"): GameSums(10, 1_000, 0),
        ("fruit-lines", "EUR"): GameSums(20, 4_000, 5_000),
    },
    ledger_sums={"EUR": 0, "USD": 0},
    open_holds=0,
    events_expected=50,
    events_seen_once=50,
    events_redelivered=1,
    events_out_of_order=0,
    workflows=51,
    workflows_failed=0,
    fast_rounds=51,
    outcomes_replayed=50,
    findings=(HOLDS,),
)


def rendered(report: Report) -> str:
    output = io.StringIO()
    render(report, Console(file=output, width=140))
    return output.getvalue()


def test_is_ok_when_every_finding_holds() -> None:
    assert REPORT.ok


def test_is_not_ok_when_one_finding_does_not_hold() -> None:
    assert not replace(REPORT, findings=(HOLDS, BROKEN)).ok


def test_is_not_ok_when_nothing_was_looked_at() -> None:
    assert not replace(REPORT, findings=()).ok


def test_totals_never_add_two_currencies() -> None:
    assert REPORT.totals() == {"EUR": GameSums(40, 6_000, 6_900), "USD": GameSums(10, 1_000, 0)}


def test_shows_the_figures_in_one_table() -> None:
    text = rendered(REPORT)
    for words in ("dice", "95.0%", "115.0%", "p50 12.3 ms, p99 56.8 ms", "50 of 50", "✓ I1", "all 1 hold"):
        assert words in text


def test_shows_what_is_broken_how_many_and_examples_as_they_are() -> None:
    text = rendered(replace(REPORT, findings=(HOLDS, BROKEN)))
    for words in ("✗ I4", "7 broken (events)", "event [red]1[/red]: lost", "1 of 2 do not hold"):
        assert words in text


def test_shows_a_ledger_that_does_not_add_up() -> None:
    assert "-3 USD" in rendered(replace(REPORT, ledger_sums={"EUR": 0, "USD": -3}))


def test_what_could_not_be_looked_at_is_unknown_and_not_zero() -> None:
    empty = replace(
        REPORT, sums={}, ledger_sums={}, open_holds=None, workflows_failed=None, p50_ms=None, p99_ms=None
    )
    assert rendered(empty).count("unknown") == 5


def test_is_json() -> None:
    document = json.loads(json.dumps(replace(REPORT, findings=(HOLDS, BROKEN)).as_dict()))
    assert document["ok"] is False
    assert document["totals"]["EUR"] == {"rounds": 40, "stake": 6000, "win": 6900, "rtp_percent": 115.0}
    assert document["invariants"][1]["examples"] == ["event [red]1[/red]: lost"]


def test_a_tally_keeps_a_few_examples_of_many() -> None:
    tally = Tally("I1", "name", "title")
    for number in range(1_000):
        tally.add(str(number))
    assert tally.finding().count == 1_000
    assert len(tally.finding().examples) == EXAMPLES
