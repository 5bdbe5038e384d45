"""The plots of docs/benchmarks.md, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.blocks import CONCURRENCIES
from bench.costs import FAMILIES
from bench.latency import Latencies
from bench.report import Report, Summary

PERCENTS: Final = (0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9)
PRODUCT_COLOUR: Final = "#c0392b"
WIDTH_IN, HEIGHT_IN = 8.0, 4.2


def draw(report: Report, folder: Path) -> list[Path]:
    """Write all plots into `folder`. Returns their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "croupier"  # the same picture is the same file
    folder.mkdir(parents=True, exist_ok=True)
    makers = {"rounds": _rounds, "latency": _latency, "tail": _tail, "cpu": _cpu}
    return [_save(maker, report, folder / f"{name}.svg") for name, maker in makers.items()]


def _save(maker: Any, report: Report, path: Path) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    maker(figure.subplots(), report)
    figure.savefig(path, format="svg", metadata={"Date": None})
    return path


def _rounds(axes: Any, report: Report) -> None:
    """Rounds/s of each variant at each concurrency."""
    _grouped_bars(axes, report, lambda each: each.rounds_per_s)
    axes.set(yscale="log", ylabel="rounds/s (log)", title="rounds/s, closed loop: more is better")


def _latency(axes: Any, report: Report) -> None:
    """p50 of each variant at each concurrency."""
    _grouped_bars(axes, report, lambda each: each.p50_ms or 0.0)
    axes.set(yscale="log", ylabel="p50, ms (log)", title="p50, closed loop: less is better")


def _grouped_bars(axes: Any, report: Report, value: Any) -> None:
    names = _names(report.summaries)
    width = 0.8 / len(names)
    for position, name in enumerate(names):
        found = {each.connections: each for each in report.summaries if _is(each, name, "closed")}
        places = [index + (position - (len(names) - 1) / 2) * width for index in range(len(CONCURRENCIES))]
        heights = [value(found[count]) if count in found else 0.0 for count in CONCURRENCIES]
        axes.bar(places, heights, width, label=name, **_colour(name))
    axes.set_xticks(range(len(CONCURRENCIES)), [str(count) for count in CONCURRENCIES])
    axes.set_xlabel("concurrent players")
    axes.legend(fontsize="small", ncols=3)
    axes.grid(axis="y", alpha=0.3)


def _tail(axes: Any, report: Report) -> None:
    """Latency by percentile in the open loop."""
    for name in _names(report.summaries):
        texts = [
            each.histogram
            for each in report.results.measured
            if each.cell.variant == name and each.cell.loop == "open"
        ]
        latencies = Latencies.of(texts)
        if latencies.count:
            heights = [latencies.percentile_ms(percent) for percent in PERCENTS]
            axes.plot(range(len(PERCENTS)), heights, marker="o", markersize=3, label=name, **_colour(name))
    axes.set_xticks(range(len(PERCENTS)), [f"{percent:g}" for percent in PERCENTS])
    axes.set(yscale="log", xlabel="percentile", ylabel="ms (log)")
    axes.set_title("open loop at 60% of each one's own capacity, from the moment a round was due")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


def _cpu(axes: Any, report: Report) -> None:
    """CPU for each round by family at 16 players."""
    chosen = [each for each in report.summaries if each.loop == "closed" and each.connections == 16]
    names, left = [each.variant for each in chosen], [0.0] * len(chosen)
    for family in FAMILIES:
        lengths = [each.cpu_s.get(family, 0.0) * 1_000 for each in chosen]
        if any(lengths):
            axes.barh(names, lengths, left=left, label=family)
            left = [begin + length for begin, length in zip(left, lengths, strict=True)]
    axes.invert_yaxis()
    axes.set(xlabel="CPU ms for each round", title="where the CPU goes, 16 players: less is better")
    axes.legend(fontsize="small")


def _names(summaries: Sequence[Summary]) -> list[str]:
    from bench.variants import ORDER

    present = {each.variant for each in summaries}
    return [name for name in ORDER if name in present]


def _is(each: Summary, name: str, loop: str) -> bool:
    return (each.variant, each.loop) == (name, loop)


def _colour(name: str) -> dict[str, str]:
    return {"color": PRODUCT_COLOUR} if name == "croupier" else {}
