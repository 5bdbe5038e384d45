"""Interleaved blocks: within a block every variant plays at every concurrency, in an order that turns from
block to block, and ratios are taken within a block. What slows the machine for a while slows all variants
alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Final

from temporalio.client import Client

from bench.costs import Structure, for_each, spent, structure_since
from bench.latency import Latencies
from bench.load import Job, Mark, Outcome
from bench.loader import LoadFailed
from bench.testbed import Testbed
from bench.variants import Variant

CLOSED: Final = "closed"
OPEN: Final = "open"
CONCURRENCIES: Final = (1, 16, 64)
OPEN_CONNECTIONS: Final = 64
CAPACITY_AT: Final = 16  # the closed loop that says what the open loop's rate is a share of
OPEN_SHARE: Final = 0.6
WARM_CONNECTIONS: Final = 16
AFTERWARDS_S: Final = 0.3  # what goes on after the last answer stays out of the next cell
STRUCTURE_ROUNDS_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement: a variant, in a block, in a closed or open loop over this many connections."""

    variant: str
    block: int
    loop: str
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of the parts of a run. The closed loop of one player is longer, for it plays the fewest
    rounds.
    """

    alone: float = 3.0
    many: float = 2.4
    warm_up: float = 0.7
    first_warm_up: float = 3.0
    idle: float = 4.0


QUICK: Final = Timing(alone=1.5, many=1.0, warm_up=0.5, first_warm_up=1.0, idle=1.0)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a cell gave. Latencies in ms, `rate` (of the open loop) and `rounds_per_s` in rounds/s, `cpu_s`
    in CPU seconds for each round by family.
    """

    cell: Cell
    rate: float | None
    rounds: int
    failures: int
    unanswered: int
    rounds_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cpu_s: dict[str, float]
    histogram: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run. `idle_cpu` is CPU seconds a second by family while all is up and nobody plays."""

    measured: tuple[Measured, ...]
    structures: dict[str, Structure | None]
    idle_cpu: dict[str, float]


def plan(names: Sequence[str], *, blocks: int, timing: Timing) -> list[Cell]:
    """All cells in the order they are played. The open loop is last in its block, for its rate is a share
    of what the closed loop reached.
    """
    loops = [(CLOSED, connections) for connections in CONCURRENCIES] + [(OPEN, OPEN_CONNECTIONS)]
    return [
        Cell(name, block, loop, connections, timing.alone if connections == 1 else timing.many)
        for block in range(blocks)
        for turn, (loop, connections) in enumerate(loops)
        for name in turned(names, block + turn)
    ]


def turned(names: Sequence[str], by: int) -> list[str]:
    """The names in the same circle, begun elsewhere; every other time backwards, so neighbours change too."""
    start = by % len(names)
    circle = [*names[start:], *names[:start]]
    return [circle[0], *circle[:0:-1]] if by % 2 else circle


class Runner:
    """Plays cells. `advance` is called after each, with what comes next in words."""

    def __init__(
        self, testbed: Testbed, variants: Sequence[Variant], timing: Timing, advance: Callable[[str], None]
    ) -> None:
        self._testbed, self._timing, self._advance = testbed, timing, advance
        self._variants = {variant.name: variant for variant in variants}
        self._prefixes = self._all_prefixes()
        self._capacity: dict[str, list[float]] = {}

    async def run(self, blocks: int, temporal: Client) -> Results:
        """Warms up, measures single rounds, then the cells. Raises LoadFailed for a variant that settles
        none."""
        for name in self._variants:
            self._advance(f"warming up {name}")
            outcome = await self._play(name, WARM_CONNECTIONS, self._timing.first_warm_up)
            if not outcome.rounds:
                raise LoadFailed(f"{name} settled no round: {'; '.join(outcome.problems) or 'no answer'}")
        structures = {name: await self._structure(name, temporal) for name in self._variants}
        self._advance("looking at the idle machine")
        idle_cpu = await self._idle()
        measured = []
        for cell in plan(list(self._variants), blocks=blocks, timing=self._timing):
            self._advance(f"block {cell.block + 1}: {cell.variant}, {cell.loop} loop, {cell.connections}")
            measured.append(await self._measure(cell))
        return Results(tuple(measured), structures, idle_cpu)

    async def _structure(self, name: str, temporal: Client) -> Structure | None:
        self._advance(f"looking at one round of {name}")
        await asyncio.sleep(AFTERWARDS_S)
        since = datetime.now(UTC)
        await self._play(name, 1, STRUCTURE_ROUNDS_S)
        return await structure_since(temporal, since)

    async def _idle(self) -> dict[str, float]:
        """All programs together are one family here; what the services do for them shows in theirs."""
        await asyncio.sleep(1.0)
        meter = self._testbed.meter_of_all()
        before = meter.read()
        await asyncio.sleep(self._timing.idle)
        used = spent(before, meter.read())
        return {family: seconds / self._timing.idle for family, seconds in used.items()}

    async def _measure(self, cell: Cell) -> Measured:
        rate = self._rate_for(cell)
        meter = self._testbed.meter(cell.variant)
        read: dict[str, dict[str, float]] = {}

        def mark(name: str) -> None:
            read[name] = meter.read()

        outcome = await self._play(
            cell.variant, cell.connections, cell.seconds, rate, self._timing.warm_up, mark
        )
        await asyncio.sleep(AFTERWARDS_S)
        measured = summarised(cell, rate, outcome, spent(read["begin"], read["end"]))
        if cell.loop == CLOSED and cell.connections == CAPACITY_AT:
            self._capacity.setdefault(cell.variant, []).append(measured.rounds_per_s)
        return measured

    def _rate_for(self, cell: Cell) -> float | None:
        if cell.loop == CLOSED:
            return None
        return max(OPEN_SHARE * median(self._capacity[cell.variant]), 1.0)

    async def _play(
        self,
        name: str,
        connections: int,
        seconds: float,
        rate: float | None = None,
        warm_up_s: float = 0.0,
        mark: Mark = lambda _: None,
    ) -> Outcome:
        variant, tokens = self._variants[name], self._testbed.tokens[:connections]
        job = Job(
            url=self._testbed.urls[name],
            requests=[variant.request(token) for token in tokens],
            prefix=next(self._prefixes),
            seconds=seconds,
            rate=rate,
            warm_up_s=warm_up_s,
        )
        return await self._testbed.loader.play(job, mark)

    @staticmethod
    def _all_prefixes() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield f"bench-{number:05d}-"


def summarised(cell: Cell, rate: float | None, outcome: Outcome, cpu_s: dict[str, float]) -> Measured:
    """A cell's outcome in the units of the tables."""
    latencies = Latencies.of([outcome.histogram])
    return Measured(
        cell=cell,
        rate=rate,
        rounds=outcome.rounds,
        failures=outcome.failures,
        unanswered=outcome.unanswered,
        rounds_per_s=outcome.in_time / cell.seconds,
        p50_ms=latencies.percentile_ms(50),
        p95_ms=latencies.percentile_ms(95),
        p99_ms=latencies.percentile_ms(99),
        cpu_s=for_each(cpu_s, outcome.in_time),
        histogram=outcome.histogram,
        problems=tuple(outcome.problems),
    )
