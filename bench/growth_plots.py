"""The plots of growth, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from bench.growth import EMPTY, FILLED, TARGETS, Growth
from bench.plots import PRODUCT_COLOUR, Maker, save_all
from bench.ratios import Target

EMPTY_COLOUR: Final = "#7f8c8d"
MIB: Final = 2**20


def draw(growth: Growth, folder: Path) -> list[Path]:
    """Write all plots into `folder`. Returns their paths."""
    makers: dict[str, Maker[Growth]] = {
        "growth-players": _players,
        "growth-memory": _memory,
        "growth-earlier": _earlier,
    }
    return save_all(makers, growth, folder)


def _players(axes: Any, growth: Growth) -> None:
    """Rounds/s and p50 at each concurrency."""
    found = growth.by_players
    places = range(len(found))
    axes.plot(places, [each.rounds_per_s for each in found], marker="o", color=PRODUCT_COLOUR)
    axes.set_xticks(places, [str(each.connections) for each in found])
    axes.set(xlabel="concurrent players", ylabel="rounds/s", ylim=(0, None))
    axes.yaxis.label.set_color(PRODUCT_COLOUR)
    axes.set_title("rounds/s (solid) and p50 (dashed), closed loop")
    axes.grid(alpha=0.3)
    beside = axes.twinx()
    beside.plot(places, [each.p50_ms or 0.0 for each in found], marker="s", linestyle="--", color="grey")
    beside.set(ylabel="p50, ms", ylim=(0, None))


def _memory(axes: Any, growth: Growth) -> None:
    """Memory of each family over the rounds."""
    points = growth.memory
    for family in sorted(points[-1].resident) if points else ():
        sizes = [point.resident[family] / MIB for point in points]
        axes.plot([point.rounds for point in points], sizes, marker="o", markersize=3, label=family)
    axes.set(xlabel="rounds played, 64 players", ylabel="MiB", ylim=(0, None), title="memory by family")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


def _earlier(axes: Any, growth: Growth) -> None:
    """Every block's value on either side, over the median of the empty side."""
    colours = {EMPTY: EMPTY_COLOUR, FILLED: PRODUCT_COLOUR}
    labels = {EMPTY: "empty", FILLED: f"{growth.earlier.rounds:,} earlier rounds"}
    for place, target in enumerate(TARGETS):
        for turn, (name, colour) in enumerate(colours.items()):
            values = _values(growth, target, name)
            at = [place + (turn - 0.5) * 0.3] * len(values)
            axes.plot(at, values, "o", color=colour, alpha=0.7, label=labels[name] if place == 0 else None)
    axes.axhline(1.0, color="grey", linewidth=0.8)
    axes.set_xticks(range(len(TARGETS)), ["p50, 1 player: less is better", "rounds/s, 16: more is better"])
    axes.set(xlim=(-0.6, len(TARGETS) - 0.4), ylabel="over the empty side's mean")
    axes.set_title("empty against filled, one dot for each block")
    axes.legend(fontsize="small")
    axes.grid(axis="y", alpha=0.3)


def _values(growth: Growth, target: Target, name: str) -> list[float]:
    def of(side: str) -> list[float]:
        cells = [each for each in growth.compared if each.cell.variant == side]
        chosen = [each for each in cells if each.cell.connections == target.connections]
        return [float(getattr(each, target.metric) or 0.0) for each in chosen]

    base = of(EMPTY)
    mean = sum(base) / len(base) if base else 0.0
    return [value / mean for value in of(name)] if mean else []
