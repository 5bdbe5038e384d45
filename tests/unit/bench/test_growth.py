"""Growth: blocks that interleave, a filled database of the right size, and what people and programs read."""

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from bench import growth_plots, growth_report
from bench.blocks import Cell, Measured
from bench.filled import Earlier, rounds_for
from bench.growth import (
    EMPTY,
    FILLED,
    QUICK,
    TARGETS,
    Growth,
    SocketPoint,
    Timing,
    compared_cells,
    players_cells,
)
from bench.latency import Latencies
from bench.memory import MemoryPoint
from bench.ratios import all_met, ratio
from bench.stages import breakdown


def measured(name: str, block: int, *, at: int, rate: float, ms: float) -> Measured:
    latencies = Latencies()
    latencies.record(ms / 1_000)
    return Measured(
        cell=Cell(name, block, "closed", at, 1.0),
        rate=None,
        rounds=1,
        failures=0,
        unanswered=0,
        rounds_per_s=rate,
        p50_ms=ms,
        p95_ms=ms,
        p99_ms=ms,
        cpu_s={"program": 0.01},
        histogram=latencies.text(),
        problems=(),
    )


def compared(*, slower: float) -> list[Measured]:
    return [
        measured(name, block, at=at, rate=100.0 / factor, ms=20.0 * factor)
        for block in range(3)
        for at in (1, 16)
        for name, factor in ((EMPTY, 1.0), (FILLED, slower))
    ]


def run(*, slower: float) -> Growth:
    cells = compared(slower=slower)
    players = [measured(FILLED, 0, at=at, rate=at, ms=at) for at in (4, 1)]
    return Growth(
        machine={"cores": 2},
        earlier=Earlier(rounds=20_000, players=200, seconds=4.0),
        compared=tuple(cells),
        ratios=tuple(ratio(target, cells) for target in TARGETS),
        players=tuple(players),
        sockets=tuple(SocketPoint(count, count, 2**20, players[0]) for count in (1, 50)),
        stages=breakdown({}, {}, cells[0].histogram),
        memory=(MemoryPoint(0, {"program": 2**20}), MemoryPoint(100, {"program": 2**21})),
        seconds=12.34,
    )


@pytest.mark.parametrize("timing", [Timing(), QUICK])
def test_every_block_holds_both_sides_at_each_concurrency(timing: Timing) -> None:
    cells = compared_cells(timing)
    counts = Counter((cell.block, cell.variant, cell.connections) for cell in cells)
    assert set(counts.values()) == {1}
    assert len(counts) == timing.blocks * 4
    assert [cell.block for cell in cells] == sorted(cell.block for cell in cells)


def test_neither_side_is_always_first() -> None:
    firsts = Counter(cell.variant for cell in compared_cells(Timing())[::2])
    assert abs(firsts[EMPTY] - firsts[FILLED]) <= 2


def test_the_numbers_of_players_go_up_and_down() -> None:
    order = [cell.connections for cell in players_cells(Timing())]
    assert order[:14] == [1, 2, 4, 8, 16, 32, 64, 64, 32, 16, 8, 4, 2, 1]


@pytest.mark.parametrize(
    ("rounds", "players", "each"), [(1_000_000, 10_000, 100), (20_000, 200, 100), (500, 64, 8)]
)
def test_the_filled_database_has_players_enough_and_rounds_enough(
    rounds: int, players: int, each: int
) -> None:
    assert rounds_for(rounds, at_least=64) == (players, each)
    assert players * each >= rounds


@pytest.mark.parametrize(("slower", "met"), [(1.0, True), (1.09, True), (1.15, False)])
def test_within_ten_per_cent_is_met(slower: float, met: bool) -> None:
    assert all_met(run(slower=slower).ratios) is met


def test_the_json_can_be_read_again() -> None:
    found = json.loads(json.dumps(growth_report.as_json(run(slower=1.05))))
    assert found["earlier"] == {"rounds": 20_000, "players": 200, "seconds": 4.0}
    p50 = next(each for each in found["ratios"] if each["title"] == "p50 at 1, against empty")
    assert (p50["median"], p50["required_met"], p50["stretch_met"]) == (pytest.approx(1.05), True, False)
    assert [each["connections"] for each in found["by_players"]] == [1, 4]
    assert [point["still_open"] for point in found["sockets"]] == [1, 50]
    assert found["memory"][1] == {"rounds": 100, "resident": {"program": 2**21}}
    assert found["stages"]["absent"] == ["start", "reserve", "resolve", "settle", "emit", "place"]


def test_the_tables_say_what_was_measured() -> None:
    console = Console(file=io.StringIO(), width=130)
    for table in growth_report.tables(run(slower=1.5)):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "20,000 earlier rounds of 200 players" in text
    assert "not met" in text
    assert "KiB a round" in text
    assert "not exported by the ingress" in text


def test_the_plots_are_drawn(tmp_path: Path) -> None:
    drawn = growth_plots.draw(run(slower=1.0), tmp_path / "plots")
    assert [path.name for path in drawn] == [
        "growth-players.svg",
        "growth-memory.svg",
        "growth-earlier.svg",
    ]
    assert all("<svg" in path.read_text() for path in drawn)
