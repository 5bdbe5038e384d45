"""Ratios are taken within a block, so a slow moment that hits both sides decides nothing."""

import pytest

from bench.blocks import Cell, Measured
from bench.latency import Latencies
from bench.ratios import TARGETS, Ratio, Target, all_met, ratio, ratios

FASTER = Target("rounds_per_s", 16, "saga", 2.5, 4.0)
QUICKER = Target("p50_ms", 1, "saga", 0.20, 0.12)


def measured(
    variant: str, block: int, *, rate: float = 0.0, p50: float | None = None, at: int = 16
) -> Measured:
    return Measured(
        cell=Cell(variant, block, "closed", at, 1.0),
        rate=None,
        rounds=100,
        failures=0,
        unanswered=0,
        rounds_per_s=rate,
        p50_ms=p50,
        p95_ms=p50,
        p99_ms=p50,
        cpu_s={},
        histogram=Latencies().text(),
        problems=(),
    )


def test_a_block_in_which_everything_is_slow_changes_nothing() -> None:
    calm = [measured("croupier", 0, rate=300), measured("saga", 0, rate=100)]
    noisy = [measured("croupier", 1, rate=30), measured("saga", 1, rate=10)]
    found = ratio(FASTER, calm + noisy)
    assert found.by_block == (3.0, 3.0)
    assert (found.required_met, found.stretch_met) == (True, False)


def test_median_lowest_and_highest_are_of_the_blocks() -> None:
    both = [
        each
        for block, ours in enumerate([200, 300, 500])
        for each in (measured("croupier", block, rate=ours), measured("saga", block, rate=100))
    ]
    found = ratio(FASTER, both)
    assert (found.lowest, found.median, found.highest) == (2.0, 3.0, 5.0)


def test_less_is_better_for_latency() -> None:
    both = [measured("croupier", 0, p50=15.0, at=1), measured("saga", 0, p50=100.0, at=1)]
    found = ratio(QUICKER, both)
    assert (found.required_met, found.stretch_met) == (True, False)


@pytest.mark.parametrize(
    "others",
    [
        [],
        [measured("saga", 0, rate=0.0)],
        [measured("saga", 1, rate=100)],
        [measured("saga", 0, rate=100, at=64)],
    ],
    ids=["nobody", "no rounds", "another block", "another concurrency"],
)
def test_a_missing_side_gives_no_ratio_and_meets_nothing(others: list[Measured]) -> None:
    found = ratio(FASTER, [measured("croupier", 0, rate=300), *others])
    assert found.median is None
    assert found.required_met is None
    assert not all_met([found])


def test_only_opponents_that_took_part_are_listed() -> None:
    found = ratios([measured("croupier", 0, rate=3), measured("floor", 0, rate=4)])
    assert [each.target for each in found] == [each for each in TARGETS if each.against == "floor"]


def test_what_is_only_reported_can_not_be_missed() -> None:
    reported = Target("rounds_per_s", 16, "restate", None, 1.0)
    assert all_met([Ratio(reported, (0.5,))])
    assert Ratio(reported, (0.5,)).stretch_met is False


def test_a_stretch_is_never_easier_than_what_is_required() -> None:
    for target in TARGETS:
        if target.required is not None and target.stretch is not None:
            assert target.reached(target.stretch, target.required)
