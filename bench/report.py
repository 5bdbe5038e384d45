"""What a run found: summaries over the blocks, tables for people, JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

import psutil
from rich.table import Table

from bench.blocks import Measured, Results
from bench.costs import FAMILIES, Structure
from bench.latency import Latencies
from bench.overload import FLOOD_PLAYERS, TIMES_CAPACITY, Overload
from bench.ratios import Ratio, overload_rows, ratios

CPU_LOOP: Final = "closed"
CPU_CONNECTIONS: Final = 16
MS_PER_S: Final = 1_000
OVERLOAD_PERCENTS: Final = (50, 95, 99, 100)


@dataclass(frozen=True, slots=True)
class Summary:
    """One variant in one loop over all blocks: percentiles (ms) of all its rounds together; rounds/s and CPU
    seconds for each round as medians of the blocks.
    """

    variant: str
    loop: str
    connections: int
    blocks: int
    rounds: int
    failures: int
    unanswered: int
    rate: float | None
    rounds_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cpu_s: dict[str, float]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the tables, the JSON and the plots show."""

    machine: dict[str, Any]
    results: Results
    summaries: tuple[Summary, ...]
    ratios: tuple[Ratio, ...]
    overload: Overload | None
    seconds: float


def report_of(results: Results, overload: Overload | None = None, *, seconds: float) -> Report:
    """`seconds`: how long the whole run took."""
    summaries = tuple(summaries_of(results.measured))
    rows = (*ratios(results.measured), *(overload_rows(overload) if overload else ()))
    return Report(machine(), results, summaries, rows, overload, seconds)


def summaries_of(measured: Sequence[Measured]) -> list[Summary]:
    """One for each variant and loop, in the order in which they first appear."""
    groups: dict[tuple[str, int, str], list[Measured]] = {}
    for each in measured:
        groups.setdefault((each.cell.loop, each.cell.connections, each.cell.variant), []).append(each)
    return [_summary(group) for group in groups.values()]


def _summary(group: Sequence[Measured]) -> Summary:
    cell, latencies = group[0].cell, Latencies.of(each.histogram for each in group)
    rates = [each.rate for each in group if each.rate is not None]
    families = [family for family in FAMILIES if any(family in each.cpu_s for each in group)]
    return Summary(
        variant=cell.variant,
        loop=cell.loop,
        connections=cell.connections,
        blocks=len(group),
        rounds=sum(each.rounds for each in group),
        failures=sum(each.failures for each in group),
        unanswered=sum(each.unanswered for each in group),
        rate=median(rates) if rates else None,
        rounds_per_s=median(each.rounds_per_s for each in group),
        p50_ms=latencies.percentile_ms(50),
        p95_ms=latencies.percentile_ms(95),
        p99_ms=latencies.percentile_ms(99),
        cpu_s={
            family: median([each.cpu_s[family] for each in group if family in each.cpu_s])
            for family in families
        },
        problems=tuple(problem for each in group for problem in each.problems)[:3],
    )


def machine() -> dict[str, Any]:
    """What the numbers depend on, with nothing that names the machine."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "architecture": platform.machine(),
    }


def as_json(report: Report) -> dict[str, Any]:
    """The whole report; histograms are HdrHistogram's own text, in microseconds."""
    return {
        "machine": report.machine,
        "seconds": round(report.seconds, 1),
        "ratios": [ratio_json(ratio) for ratio in report.ratios],
        "summaries": [asdict(summary) for summary in report.summaries],
        "structures": {
            name: asdict(found) if found else None for name, found in report.results.structures.items()
        },
        "idle_cpu": report.results.idle_cpu,
        "overload": _overload_json(report.overload) if report.overload else None,
        "cells": [{**asdict(each.cell), **_without_cell(each)} for each in report.results.measured],
    }


def ratio_json(ratio: Ratio) -> dict[str, Any]:
    """A ratio with what follows from its blocks."""
    found = {"median": ratio.median, "min": ratio.lowest, "max": ratio.highest}
    met = {"required_met": ratio.required_met, "stretch_met": ratio.stretch_met}
    return {"title": ratio.target.title, **asdict(ratio.target), **found, **met, "by_block": ratio.by_block}


def _overload_json(overload: Overload) -> dict[str, Any]:
    percentiles = {
        f"{kind}_p{percent}_ms": of(percent)
        for kind, of in (("admitted", overload.admitted_ms), ("refused", overload.refused_ms))
        for percent in OVERLOAD_PERCENTS
    }
    return {**asdict(overload), **percentiles, "lost": overload.lost}


def _without_cell(measured: Measured) -> dict[str, Any]:
    return {key: value for key, value in asdict(measured).items() if key != "cell"}


def tables(report: Report) -> list[Table]:
    """For a terminal."""
    overload = [overload_table(report.overload)] if report.overload else []
    return [speed_table(report.summaries), cost_table(report), *overload, ratio_table(report.ratios)]


def speed_table(summaries: Sequence[Summary]) -> Table:
    headings = (
        "loop",
        "variant",
        "rounds/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "rounds",
        "failed",
        "load CPU ms",
    )
    table = empty_table("speed", headings, left=2)
    last = ""
    for each in summaries:
        loop = f"{each.loop} {each.connections}"
        if last and loop != last:
            table.add_section()
        failed = each.failures + each.unanswered
        table.add_row(
            *(loop if loop != last else "", each.variant, f"{each.rounds_per_s:.1f}"),
            *(number(value) for value in (each.p50_ms, each.p95_ms, each.p99_ms)),
            *(
                str(each.rounds),
                f"[red]{failed}[/red]" if failed else "0",
                milliseconds(each.cpu_s.get("load")),
            ),
        )
        last = loop
    return table


def cost_table(report: Report) -> Table:
    """CPU at 16 connections, and what Temporal keeps."""
    families = [family for family in FAMILIES if family != "load"]
    table = empty_table(
        f"one round at {CPU_CONNECTIONS}: CPU ms by family, and what Temporal records",
        ("variant", *families, "all", "events", "transitions"),
        left=1,
    )
    for each in report.summaries:
        if (each.loop, each.connections) != (CPU_LOOP, CPU_CONNECTIONS):
            continue
        shown = [each.cpu_s.get(family) for family in families]
        total = sum(value for value in shown if value is not None)
        structure = report.results.structures.get(each.variant)
        table.add_row(
            each.variant, *(milliseconds(value) for value in shown), milliseconds(total), *_counts(structure)
        )
    idle = report.results.idle_cpu
    shown_idle = [f"{idle[family] * 100:.1f} %" if family in idle else "-" for family in families]
    table.add_section()
    total_idle = sum(idle.get(family, 0.0) for family in families)
    table.add_row("idle, of a core", *shown_idle, f"{total_idle * 100:.1f} %", "", "")
    return table


def overload_table(found: Overload) -> Table:
    """What was answered in the flood, by kind of answer."""
    title = (
        f"overload: {found.rate:.0f} rounds/s due, {TIMES_CAPACITY} times capacity, {FLOOD_PLAYERS} players"
    )
    table = empty_table(title, ("answer", "count", "p50 ms", "p95 ms", "p99 ms", "highest"), left=1)
    admitted = (found.admitted_ms(percent) for percent in OVERLOAD_PERCENTS)
    refused = (found.refused_ms(percent) for percent in OVERLOAD_PERCENTS)
    table.add_row("played", str(found.admitted), *(number(value) for value in admitted))
    table.add_row("503, Retry-After", str(found.refused), *(number(value) for value in refused))
    table.add_row("anything else", str(found.failures + found.unanswered), "", "", "", "")
    at_capacity, load = number(found.capacity_p99_ms), f"{found.load_cpu * 100:.0f} %"
    table.caption = (
        f"at capacity {found.capacity_per_s:.1f} rounds/s, p99 {at_capacity} ms; in the flood "
        f"{found.admitted_per_s:.1f} rounds/s; the load generator took {load} of a core"
    )
    return table


def ratio_table(found: Sequence[Ratio]) -> Table:
    headings = ("croupier's", "median", "min", "max", "required", "", "stretch", "")
    table = empty_table("ratios, block by block; overload, once", headings, left=1)
    for each in found:
        sign = "<=" if each.target.lower_is_better else ">="
        required, stretch = each.target.required, each.target.stretch
        table.add_row(
            each.target.title,
            *(number(value) for value in (each.median, each.lowest, each.highest)),
            *("reported" if required is None else f"{sign} {required:g}", mark(each.required_met)),
            *("" if stretch is None else f"{sign} {stretch:g}", mark(each.stretch_met)),
        )
    return table


def mark(met: bool | None) -> str:
    """In words and colour."""
    return {True: "[green]met[/green]", False: "[red]not met[/red]", None: ""}[met]


def number(value: float | None) -> str:
    """Two digits after the point for small numbers, one for others."""
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * MS_PER_S:.2f}"


def _counts(structure: Structure | None) -> tuple[str, str]:
    return (
        ("-", "-") if structure is None else (str(structure.history_events), str(structure.state_transitions))
    )


def empty_table(title: str, headings: Sequence[str], *, left: int) -> Table:
    """Columns without rows: the first `left` are aligned to the left, the others to the right."""
    table = Table(title=title, title_justify="left")
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="left" if position < left else "right", no_wrap=True)
    return table
