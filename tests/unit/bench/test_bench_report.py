"""What people and programs read after a run."""

import io
import json

from rich.console import Console

from bench.blocks import Cell, Measured, Results
from bench.costs import Structure, for_each, spent
from bench.latency import Latencies
from bench.report import as_json, report_of, summaries_of, tables


def measured(variant: str, block: int, latencies_ms: list[float], *, failures: int = 0) -> Measured:
    latencies = Latencies()
    for each in latencies_ms:
        latencies.record(each / 1_000)
    return Measured(
        cell=Cell(variant, block, "closed", 16, 2.0),
        rate=None,
        rounds=len(latencies_ms),
        failures=failures,
        unanswered=0,
        rounds_per_s=len(latencies_ms) / 2,
        p50_ms=latencies.percentile_ms(50),
        p95_ms=latencies.percentile_ms(95),
        p99_ms=latencies.percentile_ms(99),
        cpu_s={"program": 0.010, "temporal": 0.020, "load": 0.0005},
        histogram=latencies.text(),
        problems=("503 busy",) if failures else (),
    )


def results() -> Results:
    cells = [measured("croupier", block, [10.0] * 300) for block in range(3)]
    cells += [measured("saga", block, [100.0] * 100, failures=block) for block in range(3)]
    structures = {"croupier": Structure(9, 2), "saga": None}
    return Results(tuple(cells), structures, {"temporal": 0.05, "program": 0.01})


def test_percentiles_are_of_all_rounds_and_rates_are_medians_of_blocks() -> None:
    cells = [measured("croupier", 0, [10.0] * 98), measured("croupier", 1, [10.0] * 100 + [500.0] * 2)]
    (summary,) = summaries_of(cells)
    assert (summary.blocks, summary.rounds) == (2, 200)
    assert summary.rounds_per_s == 50.0
    assert summary.p50_ms is not None
    assert 9.9 < summary.p50_ms < 10.1
    assert summary.p99_ms is not None
    assert summary.p99_ms < 11


def test_the_json_holds_every_cell_and_can_be_read_again() -> None:
    found = json.loads(json.dumps(as_json(report_of(results(), seconds=12.34))))
    assert len(found["cells"]) == 6
    assert found["seconds"] == 12.3
    assert found["structures"]["croupier"] == {"history_events": 9, "state_transitions": 2}
    rate = next(each for each in found["ratios"] if each["title"] == "rounds/s at 16, against saga")
    assert (rate["median"], rate["required_met"], rate["stretch_met"]) == (3.0, True, False)
    assert Latencies.of([found["cells"][0]["histogram"]]).count == 300


def test_the_tables_name_failures_costs_and_what_is_met() -> None:
    written = io.StringIO()
    console = Console(width=160, file=written)
    for table in tables(report_of(results(), seconds=1.0)):
        console.print(table)
    text = written.getvalue()
    assert "rounds/s at 16, against saga" in text
    assert "not met" in text
    assert "30.00" in text  # CPU ms of one round over all families but the load
    assert "idle" in text


def test_cpu_is_split_by_rounds_and_never_negative() -> None:
    used = spent({"temporal": 1.0, "postgres": 5.0}, {"temporal": 3.0, "postgres": 4.9, "restate": 0.5})
    assert used == {"temporal": 2.0, "postgres": 0.0, "restate": 0.5}
    assert for_each(used, 4) == {"temporal": 0.5, "postgres": 0.0, "restate": 0.125}
    assert for_each(used, 0) == {}
