"""The plan of a run: every variant in every block, with neighbours that change."""

from collections import Counter

from bench.blocks import CLOSED, CONCURRENCIES, OPEN, QUICK, Cell, Timing, plan, summarised, turned
from bench.latency import Latencies
from bench.load import Outcome

NAMES = ["croupier", "saga", "dbos", "restate", "direct", "floor"]


def test_every_variant_plays_as_often_as_the_others_in_every_block() -> None:
    cells = plan(NAMES, blocks=5, timing=Timing())
    counted = Counter((cell.variant, cell.loop, cell.connections) for cell in cells)
    assert set(counted.values()) == {5}
    assert len(counted) == len(NAMES) * (len(CONCURRENCIES) + 1)


def test_blocks_are_interleaved() -> None:
    cells = plan(NAMES, blocks=3, timing=QUICK)
    assert [cell.block for cell in cells] == sorted(cell.block for cell in cells)
    assert {cell.variant for cell in cells[: len(NAMES)]} == set(NAMES)


def test_the_closed_loop_comes_before_the_open_loop_that_needs_its_rate() -> None:
    first_open = next(
        number for number, cell in enumerate(plan(NAMES, blocks=1, timing=QUICK)) if cell.loop == OPEN
    )
    before = plan(NAMES, blocks=1, timing=QUICK)[:first_open]
    assert {cell.variant for cell in before if (cell.loop, cell.connections) == (CLOSED, 16)} == set(NAMES)


def test_a_variant_has_another_neighbour_in_another_block() -> None:
    orders = [turned(NAMES, by) for by in range(6)]
    assert all(sorted(order) == sorted(NAMES) for order in orders)
    assert len({order[0] for order in orders}) > 3
    before = {order[order.index("croupier") - 1] for order in orders}
    assert len(before) > 1


def test_the_default_run_fits_into_ten_minutes() -> None:
    """Measuring alone, for seven variants and five blocks; starting takes under a minute."""
    timing = Timing()
    cells = plan([*NAMES, "croupier-queue"], blocks=5, timing=timing)
    assert sum(cell.seconds + timing.warm_up + 0.3 for cell in cells) < 530


def test_a_cell_is_summed_up_in_the_units_of_the_tables() -> None:
    latencies = Latencies()
    for milliseconds in range(1, 101):
        latencies.record(milliseconds / 1_000)
    outcome = Outcome(rounds=100, in_time=90, histogram=latencies.text(), cpu_s=0.1)
    measured = summarised(Cell("saga", 0, CLOSED, 16, 2.0), None, outcome, {"temporal": 1.5})
    assert measured.rounds_per_s == 45
    assert measured.cpu_s == {"temporal": 1.5 / 90}
    assert measured.p50_ms is not None
    assert 49 < measured.p50_ms < 51
