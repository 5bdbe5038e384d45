"""Block-wise ratios, what is measured once, and the targets they are held against. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.blocks import CLOSED, Measured
from bench.overload import Overload
from bench.variants import PRODUCT, QUEUE


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio must reach: at most the limits where lower is better (latency), else at least."""

    metric: str  # "p50_ms" or "rounds_per_s"
    connections: int
    against: str
    required: float | None
    stretch: float | None

    @property
    def lower_is_better(self) -> bool:
        return self.metric == "p50_ms"

    @property
    def title(self) -> str:
        what = "p50" if self.metric == "p50_ms" else "rounds/s"
        return f"{what} at {self.connections}, against {self.against}"

    def reached(self, value: float, limit: float | None) -> bool | None:
        """None when nothing is asked for."""
        if limit is None:
            return None
        return value <= limit if self.lower_is_better else value >= limit


@dataclass(frozen=True, slots=True)
class Limit:
    """What a value of the product alone, measured once, must not exceed."""

    title: str
    required: float
    stretch: float | None = None

    @property
    def lower_is_better(self) -> bool:
        return True

    def reached(self, value: float, limit: float | None) -> bool | None:
        """None when nothing is asked for."""
        return None if limit is None else value <= limit


TARGETS: Final = (
    Target("p50_ms", 1, "saga", 0.20, 0.12),
    Target("rounds_per_s", 16, "saga", 2.5, 4.0),
    Target("rounds_per_s", 16, "dbos", 1.2, 2.0),
    Target("p50_ms", 1, "dbos", 1.0, 0.6),
    Target("rounds_per_s", 16, "restate", None, 1.0),
    Target("p50_ms", 1, "restate", 1.5, 1.0),
    Target("rounds_per_s", 16, "floor", 0.55, 0.8),
    Target("rounds_per_s", 16, "direct", None, None),
    Target("p50_ms", 1, "direct", None, None),
    Target("rounds_per_s", 16, QUEUE, None, None),
    Target("p50_ms", 1, QUEUE, None, None),
)
OVERLOAD_P99: Final = Limit("overload: p99 of admitted rounds, against capacity", 3.0, 2.0)
OVERLOAD_REFUSALS: Final = Limit("overload: p99 of refusals, ms", 50.0)
OVERLOAD_LOST: Final = Limit("overload: rounds lost or answered otherwise", 0.0)
OVERLOAD_RECOVERY: Final = Limit("overload: seconds until p50 is normal again", 10.0)


@dataclass(frozen=True, slots=True)
class Ratio:
    """The product's value over the other's, block by block, or its one value for a Limit. `by_block` is empty
    when a side is missing.
    """

    target: Target | Limit
    by_block: tuple[float, ...]

    @property
    def median(self) -> float | None:
        return median(self.by_block) if self.by_block else None

    @property
    def lowest(self) -> float | None:
        return min(self.by_block, default=None)

    @property
    def highest(self) -> float | None:
        return max(self.by_block, default=None)

    @property
    def required_met(self) -> bool | None:
        return None if self.median is None else self.target.reached(self.median, self.target.required)

    @property
    def stretch_met(self) -> bool | None:
        return None if self.median is None else self.target.reached(self.median, self.target.stretch)


def ratio(target: Target, measured: Sequence[Measured]) -> Ratio:
    """Blocks where either side has no value, or the other's is zero, are left out."""
    ours, theirs = _by_block(target, PRODUCT, measured), _by_block(target, target.against, measured)
    both = sorted(block for block in ours if theirs.get(block))
    return Ratio(target, tuple(ours[block] / theirs[block] for block in both))


def ratios(measured: Sequence[Measured], targets: Sequence[Target] = TARGETS) -> list[Ratio]:
    """The targets whose opponent took part."""
    present = {each.cell.variant for each in measured}
    return [ratio(target, measured) for target in targets if target.against in present]


def overload_rows(overload: Overload) -> list[Ratio]:
    """The overload's values beside their limits."""
    values = (
        (OVERLOAD_P99, overload.p99_over_capacity),
        (OVERLOAD_REFUSALS, overload.refused_ms(99)),
        (OVERLOAD_LOST, float(overload.lost)),
        (OVERLOAD_RECOVERY, overload.recovered_s),
    )
    return [Ratio(limit, () if value is None else (value,)) for limit, value in values]


def all_met(found: Sequence[Ratio]) -> bool:
    """Whether nothing that is required was missed; what was not measured is not met."""
    return all(each.required_met for each in found if each.target.required is not None)


def _by_block(target: Target, variant: str, measured: Sequence[Measured]) -> dict[int, float]:
    wanted = (CLOSED, target.connections, variant)
    found = {}
    for each in measured:
        value = each.p50_ms if target.metric == "p50_ms" else each.rounds_per_s
        if (each.cell.loop, each.cell.connections, each.cell.variant) == wanted and value is not None:
            found[each.cell.block] = value
    return found
