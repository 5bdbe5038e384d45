"""What a run of growth found: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any, Final

from rich.table import Table

from bench.costs import PROGRAM
from bench.growth import PLAYING_BESIDE_SOCKETS, Growth, SocketPoint
from bench.memory import growth_bytes
from bench.report import Summary, empty_table, milliseconds, number, ratio_json, ratio_table
from bench.stages import Breakdown

MIB: Final = 2**20
KIB: Final = 2**10
SHOWN_CPU: Final = (PROGRAM, "temporal", "postgres", "rabbitmq")


def tables(growth: Growth) -> list[Table]:
    """For a terminal."""
    return [
        compared_table(growth),
        players_table(growth),
        sockets_table(growth.sockets),
        memory_table(growth),
        stages_table(growth.stages),
        ratios_table(growth),
    ]


def compared_table(growth: Growth) -> Table:
    earlier = growth.earlier
    title = f"empty, and croupier with {earlier.rounds:,} earlier rounds of {earlier.players:,} players"
    table = _speeds(title, growth.by_side)
    table.caption = f"the last columns are CPU ms a round; loaded in {earlier.seconds:.0f} s"
    return table


def ratios_table(growth: Growth) -> Table:
    table = ratio_table(growth.ratios)
    table.title = f"with {growth.earlier.rounds:,} earlier rounds, block by block"
    return table


def players_table(growth: Growth) -> Table:
    table = _speeds("concurrent players, closed loop", growth.by_players)
    table.caption = "the last columns are CPU ms a round"
    return table


def _speeds(title: str, summaries: Sequence[Summary]) -> Table:
    headings = ("side", "players", "rounds/s", "p50 ms", "p95 ms", "p99 ms", "rounds", "failed")
    table = empty_table(title, (*headings, *SHOWN_CPU), left=1)
    for each in summaries:
        table.add_row(
            *(each.variant, str(each.connections), f"{each.rounds_per_s:.1f}"),
            *(number(value) for value in (each.p50_ms, each.p95_ms, each.p99_ms)),
            *(str(each.rounds), str(each.failures + each.unanswered)),
            *(milliseconds(each.cpu_s.get(family)) for family in SHOWN_CPU),
        )
    return table


def sockets_table(points: Sequence[SocketPoint]) -> Table:
    """Medians of the repeats."""
    headings = ("idle sockets", "open at the end", "rounds/s", "p50 ms", "p99 ms", "ingress MiB")
    title = f"open sockets that do nothing, beside {PLAYING_BESIDE_SOCKETS} players"
    table = empty_table(title, headings, left=0)
    for count in sorted({point.sockets for point in points}):
        same = [point for point in points if point.sockets == count]
        table.add_row(
            *(str(count), str(min(point.still_open for point in same))),
            f"{median(point.measured.rounds_per_s for point in same):.1f}",
            number(_median(point.measured.p50_ms for point in same)),
            number(_median(point.measured.p99_ms for point in same)),
            f"{median(point.resident for point in same) / MIB:.1f}",
        )
    return table


def memory_table(growth: Growth) -> Table:
    points = growth.memory
    families = sorted(points[-1].resident) if points else []
    table = empty_table("memory in MiB while rounds are played, 64 players", ("rounds", *families), left=0)
    for point in points:
        table.add_row(f"{point.rounds:,}", *(f"{point.resident[family] / MIB:.1f}" for family in families))
    table.add_section()
    slopes = (growth_bytes(points, family) for family in families)
    table.add_row("KiB a round", *("-" if slope is None else f"{slope / KIB:.2f}" for slope in slopes))
    table.caption = "KiB a round: from a fifth of the rounds on"
    return table


def stages_table(found: Breakdown) -> Table:
    """Shares before the answer add up to the client's mean."""
    title = f"one round by stage: one player, mean of {found.rounds}"
    table = empty_table(title, ("stage", "ms", "share"), left=1)
    for share in found.shares:
        if not share.before_answer:
            continue
        part = "-" if share.mean_ms is None else f"{share.mean_ms / found.client_mean_ms * 100:.0f} %"
        table.add_row(share.name, number(share.mean_ms), part)
    table.add_section()
    table.add_row("client, mean", number(found.client_mean_ms), "100 %")
    table.add_row("client, p50", number(found.client_p50_ms), "")
    table.add_section()
    for share in found.shares:
        if not share.before_answer:
            table.add_row(share.name, number(share.mean_ms), "")
    if found.absent:
        table.caption = f"not exported by the ingress: {', '.join(found.absent)}"
    return table


def as_json(growth: Growth) -> dict[str, Any]:
    """The whole run; histograms are HdrHistogram's own text, in microseconds; memory in bytes."""
    return {
        "machine": growth.machine,
        "seconds": round(growth.seconds, 1),
        "earlier": asdict(growth.earlier),
        "ratios": [ratio_json(each) for each in growth.ratios],
        "by_side": [asdict(each) for each in growth.by_side],
        "by_players": [asdict(each) for each in growth.by_players],
        "sockets": [asdict(point) for point in growth.sockets],
        "memory": [asdict(point) for point in growth.memory],
        "stages": asdict(growth.stages),
        "cells": [asdict(each) for each in (*growth.compared, *growth.players)],
    }


def _median(values: Any) -> float | None:
    """Of those that there are."""
    found = [value for value in values if value is not None]
    return median(found) if found else None
