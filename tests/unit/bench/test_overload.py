"""The overload's rows: what is required of a flood, and that nothing wrong in it can pass."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from bench.blocks import Results
from bench.latency import Latencies
from bench.overload import Books, Overload
from bench.ratios import all_met, overload_rows
from bench.report import as_json, report_of, tables
from bench.run import Wanted, steps

IN_ORDER = Books(missing=0, strays=0, open=0, violations=())


def histogram(*milliseconds: float) -> str:
    latencies = Latencies()
    for each in milliseconds:
        latencies.record(each / 1_000)
    return latencies.text()


def overload() -> Overload:
    return Overload(
        capacity_per_s=80.0,
        capacity_p99_ms=1_000.0,
        rate=400.0,
        admitted=100,
        admitted_per_s=80.0,
        admitted_histogram=histogram(*[1_500.0] * 100),
        refused=400,
        refused_histogram=histogram(*[5.0] * 400),
        failures=0,
        unanswered=0,
        load_cpu=0.1,
        normal_p50_ms=200.0,
        recovered_s=2.5,
        books=IN_ORDER,
        problems=(),
    )


def test_a_flood_that_went_well_meets_everything() -> None:
    rows = overload_rows(overload())
    assert all_met(rows)
    assert [row.required_met for row in rows] == [True] * 4
    assert rows[0].median == pytest.approx(1.5, rel=0.01)
    assert rows[0].stretch_met is True


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"admitted_histogram": histogram(*[3_100.0] * 100)}, id="slow when admitted"),
        pytest.param({"admitted_histogram": histogram()}, id="nobody admitted"),
        pytest.param({"refused_histogram": histogram(*[5.0] * 95, *[60.0] * 5)}, id="slow refusals"),
        pytest.param({"refused_histogram": histogram()}, id="nobody refused: it was no flood"),
        pytest.param({"failures": 1}, id="another answer"),
        pytest.param({"unanswered": 1}, id="no answer"),
        pytest.param({"books": replace(IN_ORDER, missing=1)}, id="answered and not in the ledger"),
        pytest.param({"books": replace(IN_ORDER, strays=1)}, id="refused and in the ledger"),
        pytest.param({"books": replace(IN_ORDER, open=1)}, id="still open"),
        pytest.param({"books": replace(IN_ORDER, violations=("one-terminal: 1",))}, id="an invariant"),
        pytest.param({"recovered_s": 10.1}, id="slow to recover"),
        pytest.param({"recovered_s": None}, id="never itself again"),
        pytest.param({"capacity_p99_ms": None}, id="no capacity"),
    ],
)
def test_anything_wrong_is_a_miss(changes: dict[str, object]) -> None:
    rows = overload_rows(replace(overload(), **changes))  # type: ignore[arg-type]  # one field at a time
    assert not all_met(rows)
    assert sum(not row.required_met for row in rows) == 1


def test_the_report_shows_it_in_tables_and_json() -> None:
    report = report_of(Results((), {}, {}), overload(), seconds=1.0)
    written = io.StringIO()
    for table in tables(report):
        Console(width=160, file=written).print(table)
    assert "503, Retry-After" in written.getvalue()
    assert "overload: p99 of refusals, ms" in written.getvalue()
    found = json.loads(json.dumps(as_json(report)))
    assert found["overload"]["refused_p99_ms"] == pytest.approx(5.0, rel=0.01)
    assert found["overload"]["lost"] == 0
    titles = [row["title"] for row in found["ratios"]]
    assert titles == [row.target.title for row in overload_rows(overload())]


def test_without_it_the_report_has_no_row_of_it() -> None:
    report = report_of(Results((), {}, {}), seconds=1.0)
    assert report.ratios == ()
    assert as_json(report)["overload"] is None


def test_it_is_left_out_when_only_others_are_asked_for() -> None:
    everything, product = Wanted((), 1, quick=True), Wanted(("saga", "croupier"), 1, quick=True)
    others = Wanted(("saga",), 1, quick=True)
    asked = (everything.with_overload, product.with_overload, others.with_overload)
    assert asked == (True, True, False)
    assert steps(product) > steps(others)
