"""What a run against another commit found: ratios with what chance makes of them, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median, quantiles
from typing import Any, Final

from rich.table import Table

from bench.against import CONCURRENCIES, OURS, OURS_AGAIN, SIDES, THEIRS, Against
from bench.blocks import Measured
from bench.costs import LOAD, PROGRAM
from bench.report import empty_table, machine, milliseconds, number, summaries_of
from bench.stacks import OTHERS

ALLOWED: Final = 1.03
JUDGED_AT: Final = 16  # the machine is full there, so CPU is what limits
FAMILIES: Final = (PROGRAM, "temporal", "postgres", "rabbitmq", "relay", "statistics", OTHERS)
SUM: Final = "all"

Value = Callable[[Measured], float | None]
Row = tuple[float, float, float]  # ours, ours again, theirs


@dataclass(frozen=True, slots=True)
class Spread:
    """A ratio block by block, or start by start where there are several. There is at least one."""

    ratios: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.ratios)

    @property
    def middle_half(self) -> tuple[float, float]:
        """From the first quartile to the third."""
        if len(self.ratios) == 1:
            return self.ratios[0], self.ratios[0]
        first, _, third = quantiles(self.ratios, n=4, method="inclusive")
        return first, third

    @property
    def ends(self) -> tuple[float, float]:
        return min(self.ratios), max(self.ratios)

    @property
    def band(self) -> tuple[float, float]:
        """The middle half, and as far to the other side of 1: which of two equals is divided by which is
        chance too.
        """
        first, third = self.middle_half
        return min(first, 1 / third), max(third, 1 / first)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure: the mean of our two over theirs, and our second over our first. `lower_is_better` of
    everything but rates.
    """

    title: str
    against: Spread
    chance: Spread
    lower_is_better: bool

    @property
    def outside(self) -> bool:
        """Whether it is more than what our own two differ by."""
        lowest, highest = self.chance.band
        return not lowest <= self.against.median <= highest

    @property
    def better(self) -> bool:
        return (self.against.median < 1) == self.lower_is_better


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the CPU that a round costs is within what is allowed, and why, in one sentence."""

    met: bool
    text: str


class NothingToCompare(Exception):
    """No block has what the verdict needs; the text says what is missing."""


def total_cpu(measured: Measured) -> float | None:
    """CPU seconds a round of everything but the load generator; None when no round was played."""
    own = [seconds for family, seconds in measured.cpu_s.items() if family != LOAD]
    return sum(own) if own else None


def comparisons(measured: Sequence[Measured], starts: int = 1) -> list[Comparison]:
    """Speed, then cost. What one side has not is left out, as the relay of a commit that had none. Each of
    the `starts` has as many blocks, and counts once where there are several."""
    blocks = max(each.cell.block for each in measured) + 1
    start_of = (lambda block: block * starts // blocks) if starts > 1 else (lambda block: block)

    def compared(title: str, connections: int, value: Value, *, lower_is_better: bool = True) -> None:
        rows = _rows_by_start(measured, connections, value, start_of)
        if rows:
            found.append(Comparison(title, *_spreads(rows), lower_is_better=lower_is_better))

    found: list[Comparison] = []
    for connections in CONCURRENCIES:
        compared(f"p50 at {connections}", connections, lambda each: each.p50_ms)
        compared(f"rounds/s at {connections}", connections, _rate, lower_is_better=False)
    for family in FAMILIES:
        compared(_cpu_title(family, JUDGED_AT), JUDGED_AT, _cpu_of(family))
    for connections in CONCURRENCIES:
        compared(_cpu_title(SUM, connections), connections, total_cpu)
    return found


def verdict(found: Sequence[Comparison]) -> Verdict:
    """Raises NothingToCompare."""
    judged = next((each for each in found if each.title == _cpu_title(SUM, JUDGED_AT)), None)
    if judged is None:
        raise NothingToCompare(f"no block in which all three played at {JUDGED_AT}: no CPU to compare")
    ratio, (lowest, highest) = judged.against.median, judged.chance.band
    too_much = ratio > ALLOWED and judged.outside
    noise = f"our own two differ by {lowest:.3f}-{highest:.3f}"
    if too_much:
        how = f"more than the {ALLOWED:g} that is allowed"
    elif ratio > ALLOWED:
        how = f"more than {ALLOWED:g}, and no more than chance makes here: not decided; take more --starts"
    else:
        how = f"within the {ALLOWED:g} that is allowed"
    return Verdict(
        not too_much,
        f"CPU a round at {JUDGED_AT} players, all of it: ours is {ratio:.3f} of theirs ({noise}): {how}",
    )


def _cpu_title(family: str, connections: int) -> str:
    return f"CPU at {connections}, {family}"


def _cpu_of(family: str) -> Value:
    return lambda each: each.cpu_s.get(family)


def _rate(measured: Measured) -> float:
    return measured.rounds_per_s


def _rows_by_start(
    measured: Sequence[Measured], connections: int, value: Value, start_of: Callable[[int], int]
) -> list[list[Row]]:
    """The values of our two and of theirs, block by block, of each start. Blocks in which one has none are
    left out."""
    sides = [_by_block(name, connections, value, measured) for name in (OURS, OURS_AGAIN, THEIRS)]
    rows: dict[int, list[Row]] = {}
    for block in sorted(set[int].intersection(*(set(side) for side in sides))):
        ours, again, theirs = (side[block] for side in sides)
        rows.setdefault(start_of(block), []).append((ours, again, theirs))
    return list(rows.values())


def _spreads(rows_by_start: Sequence[Sequence[Row]]) -> tuple[Spread, Spread]:
    """Ours over theirs, and ours over ours. Ratios are taken within a block; of a start, the middle one."""
    against = tuple(median(mean((a, b)) / theirs for a, b, theirs in rows) for rows in rows_by_start)
    chance = tuple(median(b / a for a, b, _ in rows) for rows in rows_by_start)
    return Spread(against), Spread(chance)


def _by_block(name: str, connections: int, value: Value, measured: Sequence[Measured]) -> dict[int, float]:
    """Without what is zero, which is less than a hundredth of a second of CPU: the kernel counts no finer."""
    return {
        each.cell.block: found
        for each in measured
        if (each.cell.variant, each.cell.connections) == (name, connections) and (found := value(each))
    }


def tables(run: Against, found: Sequence[Comparison]) -> list[Table]:
    """For a terminal."""
    return [_speeds(run), _costs(run), _ratios(run, found)]


def _speeds(run: Against) -> Table:
    title = f"ours is {run.ours.title}, theirs {run.theirs.title}"
    table = empty_table(
        title, ("players", "side", "rounds/s", "p50 ms", "p99 ms", "rounds", "failed"), left=2
    )
    summaries = {(each.connections, each.variant): each for each in summaries_of(run.measured)}
    for connections, name in _rows():
        each = summaries[connections, name]
        failed = each.failures + each.unanswered
        table.add_row(
            *(str(connections), name, f"{each.rounds_per_s:.1f}", number(each.p50_ms), number(each.p99_ms)),
            *(str(each.rounds), f"[red]{failed}[/red]" if failed else "0"),
            end_section=name == SIDES[-1],
        )
    return table


def _costs(run: Against) -> Table:
    """Medians of the blocks, each by itself, so they need not add up."""
    table = empty_table("CPU ms a round, medians", ("players", "side", *FAMILIES, SUM), left=2)
    for connections, name in _rows():
        cells = [
            each for each in run.measured if (each.cell.connections, each.cell.variant) == (connections, name)
        ]
        shown = (_median(cells, value) for value in (*map(_cpu_of, FAMILIES), total_cpu))
        table.add_row(str(connections), name, *map(milliseconds, shown), end_section=name == SIDES[-1])
    return table


def _rows() -> Iterator[tuple[int, str]]:
    return ((connections, name) for connections in CONCURRENCIES for name in SIDES)


def _median(cells: Sequence[Measured], value: Value) -> float | None:
    found = [one for each in cells if (one := value(each)) is not None]
    return median(found) if found else None


def _ratios(run: Against, found: Sequence[Comparison]) -> Table:
    blocks = len({each.cell.block for each in run.measured})
    counted = (
        f"{blocks} blocks" if run.starts == 1 else f"{run.starts} starts of {blocks // run.starts} blocks"
    )
    title = f"ours / theirs over {counted}, beside ours / ours, which is chance alone"
    spread = ("middle half", "min - max")
    table = empty_table(title, ("median of", "ours / theirs", *spread, "ours / ours", *spread, ""), left=1)
    for each in found:
        table.add_row(each.title, *_shown(each.against), *_shown(each.chance), _mark(each))
    table.caption = "inside: no further from 1 than the middle half of ours / ours, taken to both sides of 1"
    return table


def _shown(spread: Spread) -> tuple[str, str, str]:
    (first, third), (lowest, highest) = spread.middle_half, spread.ends
    return f"{spread.median:.3f}", f"{first:.3f}-{third:.3f}", f"{lowest:.3f}-{highest:.3f}"


def _mark(comparison: Comparison) -> str:
    if not comparison.outside:
        return "inside"
    return "[green]better[/green]" if comparison.better else "[red]worse[/red]"


def as_json(run: Against, found: Sequence[Comparison], decided: Verdict) -> dict[str, Any]:
    """The whole run; histograms are HdrHistogram's own text, in microseconds; CPU in seconds a round."""
    return {
        "machine": machine(),
        "seconds": round(run.seconds, 1),
        "ours": {"commit": run.ours.commit, "changed": run.ours.changed},
        "theirs": {"commit": run.theirs.commit},
        "starts": run.starts,
        "allowed": ALLOWED,
        "met": decided.met,
        "verdict": decided.text,
        "comparisons": [_comparison_json(each) for each in found],
        "summaries": [asdict(each) for each in summaries_of(run.measured)],
        "cells": [asdict(each) for each in run.measured],
    }


def _comparison_json(comparison: Comparison) -> Mapping[str, Any]:
    marks = {"outside": comparison.outside, "better": comparison.better, "band": comparison.chance.band}
    spreads = {"ours_theirs": comparison.against, "ours_ours": comparison.chance}
    return {"title": comparison.title, **marks, **{key: _spread_json(each) for key, each in spreads.items()}}


def _spread_json(spread: Spread) -> Mapping[str, Any]:
    middle, ends = spread.middle_half, spread.ends
    return {"median": spread.median, "middle_half": middle, "ends": ends, "ratios": spread.ratios}
