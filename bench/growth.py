"""Cost as the work grows: earlier rounds, concurrent players, open sockets, rounds played; and where the time
of one round goes.

Empty against filled: two ingress programs share PostgreSQL, RabbitMQ and Temporal, each with a database and a
task queue of its own, and play in turns within each block. The relay and the statistics run for the stack:
they see the events of both sides alike. Everything else is measured on the side that began empty.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg
import httpx

from bench import stages
from bench.blocks import AFTERWARDS_S, CLOSED, Cell, Measured, summarised, turned
from bench.costs import LOAD, PROGRAM, Meter, spent
from bench.earlier import ANNOUNCEMENTS
from bench.filled import Earlier, Side, filled_side
from bench.load import Job, Mark, Outcome
from bench.loader import LoadFailed
from bench.memory import Estimate, MemoryPoint, marks, next_job_s, resident
from bench.ratios import Ratio, Target, ratio
from bench.report import Summary, machine, summaries_of
from bench.sockets import Refused, idle_sockets
from bench.stages import Breakdown
from bench.testbed import Testbed, bench_settings, open_testbed
from bench.variants import PRODUCT, known
from compose import control
from runtime.settings import Settings

PLAYER: Final = known()[PRODUCT]
EMPTY: Final = "empty"
FILLED: Final = PRODUCT  # the ratios are the product's with its history, against the same without one
CONCURRENCIES: Final = (1, 2, 4, 8, 16, 32, 64)
COMPARED: Final = (1, 16)
SOCKETS: Final = (1, 50, 100, 200)
PLAYING_BESIDE_SOCKETS: Final = 16
MOST_PLAYERS: Final = 64
TARGETS: Final = (
    Target("p50_ms", 1, EMPTY, 1.10, 1.03),
    Target("rounds_per_s", 16, EMPTY, 0.90, 0.97),
)

Announce = Callable[[str], None]


class GrowthFailed(Exception):
    """The run could not be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of each cell, and how often each part is repeated. A cell beside idle sockets is short, for the
    ingress closes connections that stay idle for five seconds.
    """

    blocks: int = 7
    repeats: int = 3
    alone: float = 6.0
    many: float = 5.0
    sockets: float = 3.0
    stages: float = 10.0
    warm_up: float = 0.7
    first_warm_up: float = 3.0


QUICK: Final = Timing(blocks=2, repeats=1, alone=1.5, many=1.0, sockets=1.0, stages=2.0, first_warm_up=1.0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many earlier rounds there are, over how many rounds memory is followed, and whether in short."""

    earlier_rounds: int
    memory_rounds: int
    quick: bool

    @property
    def timing(self) -> Timing:
        return QUICK if self.quick else Timing()


@dataclass(frozen=True, slots=True)
class SocketPoint:
    """`measured` with 16 players beside this many idle sockets, of which `still_open` were open at its end.
    `resident` is the ingress' memory in bytes meanwhile.
    """

    sockets: int
    still_open: int
    resident: int
    measured: Measured


@dataclass(frozen=True, slots=True)
class Growth:
    """Everything that the tables, the JSON and the plots show."""

    machine: dict[str, object]
    earlier: Earlier
    compared: tuple[Measured, ...]
    ratios: tuple[Ratio, ...]
    players: tuple[Measured, ...]
    sockets: tuple[SocketPoint, ...]
    stages: Breakdown
    memory: tuple[MemoryPoint, ...]
    seconds: float

    @property
    def by_side(self) -> list[Summary]:
        """Empty first at each concurrency."""
        return sorted(summaries_of(self.compared), key=lambda each: (each.connections, each.variant != EMPTY))

    @property
    def by_players(self) -> list[Summary]:
        return sorted(summaries_of(self.players), key=lambda each: each.connections)


def compared_cells(timing: Timing) -> list[Cell]:
    """Both sides at each concurrency, in an order that turns from block to block."""
    return [
        Cell(name, block, CLOSED, connections, timing.alone if connections == 1 else timing.many)
        for block in range(timing.blocks)
        for turn, connections in enumerate(COMPARED)
        for name in turned((EMPTY, FILLED), block + turn)
    ]


def players_cells(timing: Timing) -> list[Cell]:
    """Every concurrency, up and down by turns."""
    return [
        Cell(EMPTY, block, CLOSED, connections, timing.alone if connections == 1 else timing.many)
        for block in range(timing.repeats)
        for connections in (CONCURRENCIES if block % 2 == 0 else reversed(CONCURRENCIES))
    ]


def steps(wanted: Wanted) -> int:
    """How often `announce` is called at most, for a progress bar."""
    timing = wanted.timing
    load = 2 + ANNOUNCEMENTS + 1
    cells = len(compared_cells(timing)) + len(players_cells(timing)) + timing.repeats * len(SOCKETS)
    return 3 + load + 2 + cells + 1 + len(marks(wanted.memory_rounds))


async def run(settings: Settings, wanted: Wanted, announce: Announce) -> Growth:
    """`announce` gets the name of each part as it begins. Raises StackProblem, LoadFailed or GrowthFailed."""
    began, own = time.monotonic(), bench_settings(settings)
    async with open_testbed(own, [PLAYER], players=MOST_PLAYERS, announce=announce) as testbed:
        try:
            found = await _measure(testbed, wanted, announce, began)
        except (asyncpg.PostgresError, httpx.HTTPError, OSError, Refused) as problem:
            raise GrowthFailed(f"{type(problem).__name__}: {problem}") from problem
    control.reset(own)  # after a failure it stays, for its logs
    return found


async def _measure(testbed: Testbed, wanted: Wanted, announce: Announce, began: float) -> Growth:
    empty = Side(EMPTY, testbed.urls[PRODUCT], testbed.pids[PRODUCT], testbed.tokens)
    course = Course(testbed, wanted.timing, announce)
    filling = filled_side(
        testbed, name=FILLED, rounds=wanted.earlier_rounds, most_players=MOST_PLAYERS, announce=announce
    )
    async with filling as (filled, earlier):
        compared = await course.compared(empty, filled)
    players = await course.players(empty)
    sockets = await course.sockets(empty)
    breakdown = await course.stages(empty)
    memory = await course.memory(empty, wanted.memory_rounds)
    return Growth(
        machine=machine(),
        earlier=earlier,
        compared=tuple(compared),
        ratios=tuple(ratio(target, compared) for target in TARGETS),
        players=tuple(players),
        sockets=tuple(sockets),
        stages=breakdown,
        memory=tuple(memory),
        seconds=time.monotonic() - began,
    )


class Course:
    """Plays the cells of each part. `announce` is called before each."""

    def __init__(self, testbed: Testbed, timing: Timing, announce: Announce) -> None:
        self._testbed, self._timing, self._announce = testbed, timing, announce
        self._jobs = 0

    async def compared(self, empty: Side, filled: Side) -> list[Measured]:
        """Empty against filled, block by block. Raises LoadFailed for a side that settles nothing."""
        sides = {side.name: side for side in (empty, filled)}
        for side in sides.values():
            self._announce(f"warming up {side.name}")
            outcome = await self._play(side, 16, self._timing.first_warm_up)
            _check(outcome, side)
        found = []
        for cell in compared_cells(self._timing):
            self._announce(f"block {cell.block + 1}: {cell.variant}, {cell.connections}")
            found.append(await self._cell(cell, sides[cell.variant]))
        return found

    async def players(self, side: Side) -> list[Measured]:
        """From one player to many."""
        found = []
        for cell in players_cells(self._timing):
            self._announce(f"{cell.connections} players")
            found.append(await self._cell(cell, side))
        return found

    async def sockets(self, side: Side) -> list[SocketPoint]:
        """More and more sockets that are open and idle, while the same players play."""
        found = []
        for block in range(self._timing.repeats):
            for count in SOCKETS:
                self._announce(f"{count} idle sockets beside {PLAYING_BESIDE_SOCKETS} players")
                cell = Cell(EMPTY, block, CLOSED, PLAYING_BESIDE_SOCKETS, self._timing.sockets)
                async with idle_sockets(side.url, side.tokens, count) as sockets:
                    measured = await self._cell(cell, side)
                    still_open = sum(socket.is_open for socket in sockets)
                    found.append(SocketPoint(count, still_open, self._memory(side)[PROGRAM], measured))
        return found

    async def stages(self, side: Side) -> Breakdown:
        """One player, with the ingress' clocks read before and after."""
        self._announce("one round by stage")
        metrics_url = self._testbed.stack.info()["metrics_urls"]["ingress"]
        await self._play(side, 1, self._timing.warm_up)
        await asyncio.sleep(AFTERWARDS_S)
        before = await stages.read(metrics_url)
        outcome = await self._play(side, 1, self._timing.stages)
        await asyncio.sleep(AFTERWARDS_S)
        after = await stages.read(metrics_url)
        _check(outcome, side)
        return stages.breakdown(before, after, outcome.histogram)

    async def memory(self, side: Side, rounds: int) -> list[MemoryPoint]:
        """Memory of each family while `rounds` rounds are played at full load."""
        estimate, played, rate = Estimate(rounds), 0, None
        points: list[MemoryPoint] = []
        for mark in marks(rounds):
            if points and played >= mark:
                continue
            self._announce(estimate.text(played))
            while played < mark:
                seconds = next_job_s(missing=mark - played, rate=rate)
                outcome = await self._play(side, MOST_PLAYERS, seconds)
                _check(outcome, side)
                played, rate = played + outcome.rounds, outcome.rounds / seconds
            await asyncio.sleep(AFTERWARDS_S)
            points.append(MemoryPoint(played, self._memory(side)))
        return points

    def _memory(self, side: Side) -> dict[str, int]:
        found = resident(self._testbed.roots([side.pid]))
        return {family: size for family, size in found.items() if family != LOAD}

    async def _cell(self, cell: Cell, side: Side) -> Measured:
        meter = Meter(self._testbed.roots([side.pid]))
        read: dict[str, Mapping[str, float]] = {}

        def mark(name: str) -> None:
            read[name] = meter.read()

        outcome = await self._play(side, cell.connections, cell.seconds, self._timing.warm_up, mark)
        await asyncio.sleep(AFTERWARDS_S)
        return summarised(cell, None, outcome, spent(read["begin"], read["end"]))

    async def _play(
        self,
        side: Side,
        connections: int,
        seconds: float,
        warm_up_s: float = 0.0,
        mark: Mark = lambda _: None,
    ) -> Outcome:
        self._jobs += 1
        job = Job(
            url=side.url,
            requests=[PLAYER.request(token) for token in side.tokens[:connections]],
            prefix=f"growth-{self._jobs:05d}-",
            seconds=seconds,
            warm_up_s=warm_up_s,
        )
        return await self._testbed.loader.play(job, mark)


def _check(outcome: Outcome, side: Side) -> None:
    """Raises LoadFailed when nothing was settled."""
    if not outcome.rounds:
        raise LoadFailed(f"{side.name} settled no round: {'; '.join(outcome.problems) or 'no answer'}")
