"""The plots of docs/benchmarks/results.md, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from bench.blocks import CONCURRENCIES
from bench.costs import FAMILIES
from bench.latency import Latencies
from bench.overload import TIMES_CAPACITY
from bench.report import Report, Summary

PERCENTS: Final = (0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9)
PRODUCT_COLOUR: Final = "#c0392b"
REFUSED_COLOUR: Final = "#2c6fbb"
WIDTH_IN, HEIGHT_IN = 8.0, 4.2

T = TypeVar("T")
Maker = Callable[[Any, T], None]  # draws what was found on matplotlib's axes


def draw(report: Report, folder: Path) -> list[Path]:
    """Write all plots into `folder`. Returns their paths."""
    makers: dict[str, Maker[Report]] = {"rounds": _rounds, "latency": _latency, "tail": _tail, "cpu": _cpu}
    if report.overload is not None:
        makers["overload"] = _overload
    return save_all(makers, report, folder)


def save_all(makers: Mapping[str, Maker[T]], found: T, folder: Path) -> list[Path]:
    """Each maker's plot of what was found, under the maker's name. Returns their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "croupier"  # the same picture is the same file
    folder.mkdir(parents=True, exist_ok=True)
    return [_save(maker, found, folder / f"{name}.svg") for name, maker in makers.items()]


def _save(maker: Maker[T], found: T, path: Path) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    maker(figure.subplots(), found)
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
        _percentiles(axes, texts, label=name, **_colour(name))
    axes.set_title("open loop at 60% of each one's own capacity, from the moment a round was due")
    _percentile_axes(axes)


def _overload(axes: Any, report: Report) -> None:
    """Latency by percentile in the flood, of what was played and of what was refused."""
    found = report.overload
    assert found is not None, "it is drawn only when it was measured"
    played, refused = f"played ({found.admitted})", f"503, Retry-After ({found.refused})"
    _percentiles(axes, [found.admitted_histogram], label=played, color=PRODUCT_COLOUR)
    _percentiles(axes, [found.refused_histogram], label=refused, color=REFUSED_COLOUR)
    if found.capacity_p99_ms is not None:
        axes.axhline(found.capacity_p99_ms, linestyle="--", color="grey", label="p99 at capacity")
    axes.set_title(f"croupier with {found.rate:.0f} rounds/s due, {TIMES_CAPACITY} times its capacity")
    _percentile_axes(axes)


def _percentiles(axes: Any, texts: Sequence[str], **style: Any) -> None:
    latencies = Latencies.of(texts)
    if latencies.count:
        heights = [latencies.percentile_ms(percent) for percent in PERCENTS]
        axes.plot(range(len(PERCENTS)), heights, marker="o", markersize=3, **style)


def _percentile_axes(axes: Any) -> None:
    axes.set_xticks(range(len(PERCENTS)), [f"{percent:g}" for percent in PERCENTS])
    axes.set(yscale="log", xlabel="percentile", ylabel="ms (log)")
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
