"""This tree against another commit: three stacks side by side, two of ours and one of theirs, in interleaved
blocks. What our two differ by is what chance alone makes, and the measure for everything else.

A stack keeps what chance gave it for as long as it runs: where its pages and its files lie, which process the
kernel favours. Two equal ones differ by some hundredths in p50 in every block, so more blocks show that no
better. With several starts the three are started anew, and each start counts once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from bench.blocks import AFTERWARDS_S, CLOSED, Cell, Measured, Timing, summarised, turned
from bench.commits import Checkout
from bench.costs import LOAD, Meter, spent
from bench.load import Job, Mark, Outcome
from bench.loader import Loader, LoadFailed
from bench.stacks import RunningStack, remove_data, running_stack
from bench.testbed import seat
from bench.variants import PRODUCT, known
from compose.layout import Layout
from compose.stack import Operator

OURS: Final = "ours"
OURS_AGAIN: Final = "ours again"
THEIRS: Final = "theirs"
SIDES: Final = (OURS, OURS_AGAIN, THEIRS)
CONCURRENCIES: Final = (1, 16)
MOST_PLAYERS: Final = max(CONCURRENCIES)
BLOCKS: Final = 10
QUICK_BLOCKS: Final = 2
FULL: Final = Timing(alone=4.0, many=5.0)
QUICK: Final = Timing(alone=1.5, many=1.0, warm_up=0.5, first_warm_up=1.0)
# Which of several processes gets a connection is chance, and each has sessions of its own in PostgreSQL,
# which cost most while they are new: so many times the players come anew before anything is measured.
WARM_UPS_OF_A_PROCESS: Final = 2

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many blocks in each start, whether in short, how many ingress processes each of our stacks has, and
    how often all three are started."""

    blocks: int
    quick: bool
    ingresses: int = 1
    starts: int = 1

    @property
    def ours(self) -> tuple[str, ...]:
        """What `up` of our stacks gets."""
        return () if self.ingresses == 1 else ("--ingress", str(self.ingresses))

    @property
    def timing(self) -> Timing:
        return QUICK if self.quick else FULL

    @property
    def warm_ups(self) -> int:
        """How often each side is warmed up."""
        return 1 if self.ingresses == 1 else WARM_UPS_OF_A_PROCESS * self.ingresses


@dataclass(frozen=True, slots=True)
class Against:
    """A whole run: every cell, of which commits, and how many seconds it took. Each of the `starts` has as
    many blocks, numbered one after the other."""

    ours: Checkout
    theirs: Checkout
    measured: tuple[Measured, ...]
    seconds: float
    starts: int = 1


@dataclass(frozen=True)
class Side:
    """A stack with players at it, whose tokens are secrets."""

    stack: RunningStack
    tokens: tuple[str, ...]


def cells(blocks: Iterable[int], timing: Timing) -> list[Cell]:
    """In a block, all three play at each concurrency, in an order that turns."""
    return [
        Cell(name, block, CLOSED, connections, timing.alone if connections == 1 else timing.many)
        for block in blocks
        for turn, connections in enumerate(CONCURRENCIES)
        for name in turned(SIDES, block + turn)
    ]


def blocks_of_start(start: int, wanted: Wanted) -> range:
    """The numbers of the blocks that are played in this start, the first of which is 0."""
    return range(start * wanted.blocks, (start + 1) * wanted.blocks)


def steps(wanted: Wanted) -> int:
    """How often `announce` is called, for a progress bar."""
    played = len(cells(blocks_of_start(0, wanted), wanted.timing))
    return wanted.starts * ((1 + wanted.warm_ups) * len(SIDES) + played + 1)


async def run(
    ours: Checkout, theirs: Checkout, layout: Layout, wanted: Wanted, announce: Announce
) -> Against:
    """`layout` is of a folder of this benchmark alone, where nothing runs. Data goes when all went well, and
    stays with its logs when not. Raises StackProblem or LoadFailed.
    """
    began = time.monotonic()
    checkouts = {OURS: ours, OURS_AGAIN: ours, THEIRS: theirs}
    measured: list[Measured] = []
    for start in range(wanted.starts):
        measured += await _one_start(checkouts, layout, wanted, start, announce)
    return Against(ours, theirs, tuple(measured), time.monotonic() - began, wanted.starts)


async def _one_start(
    checkouts: Mapping[str, Checkout], layout: Layout, wanted: Wanted, start: int, announce: Announce
) -> Sequence[Measured]:
    async with AsyncExitStack() as closing:
        try:
            sides = {}
            # One after the other: each takes ports that are free when it starts.
            for name in turned(SIDES, start):
                checkout = checkouts[name]
                announce(f"starting {name}, {checkout.title}")
                starting = running_stack(
                    checkout,
                    layout,
                    name=_file_name(name),
                    home=home_of(layout, name),
                    arguments=() if name == THEIRS else wanted.ours,
                )
                stack = await closing.enter_async_context(starting)
                sides[name] = Side(stack, await _seat(stack))
            loader = await closing.enter_async_context(Loader())
            course = Course(sides, loader, wanted.timing, announce)
            await course.warm_up(wanted.warm_ups)
            measured = await course.play(blocks_of_start(start, wanted), of=wanted.starts * wanted.blocks)
        finally:
            announce("stopping")
    for name, checkout in checkouts.items():
        await remove_data(checkout, layout, name=_file_name(name), home=home_of(layout, name))
    return measured


def homes(layout: Layout) -> Path:
    """Where the homes of the three stacks are."""
    return layout.home / "homes"


def home_of(layout: Layout, name: str) -> Path:
    return homes(layout) / _file_name(name)


def _file_name(name: str) -> str:
    return name.replace(" ", "-")


async def _seat(stack: RunningStack) -> tuple[str, ...]:
    """Raises LoadFailed."""
    info = stack.info
    operator = Operator(str(info["operator_id"]), str(info["operator_key"]))
    try:
        return await seat(str(info["base_url"]), operator, MOST_PLAYERS)
    except (httpx.HTTPError, KeyError, ValueError) as problem:
        raise LoadFailed(f"{stack.name} seats no players: {type(problem).__name__}: {problem}") from problem


class Course:
    """Plays the cells. `announce` is called before each."""

    def __init__(self, sides: Mapping[str, Side], loader: Loader, timing: Timing, announce: Announce) -> None:
        self._sides, self._loader, self._timing, self._announce = sides, loader, timing, announce
        self._jobs = 0

    async def warm_up(self, times: int) -> None:
        """All sides, so many times. Raises LoadFailed for a side that settles nothing, Died when one ends."""
        for _ in range(times):
            for name in self._sides:
                self._announce(f"warming up {name}")
                outcome = await self._play(name, MOST_PLAYERS, self._timing.first_warm_up)
                if not outcome.rounds:
                    raise LoadFailed(f"{name} settled no round: {'; '.join(outcome.problems) or 'no answer'}")

    async def play(self, blocks: range, *, of: int) -> Sequence[Measured]:
        """These blocks, `of` so many in all. Raises LoadFailed, and Died when a side ends."""
        found = []
        for cell in cells(blocks, self._timing):
            self._announce(f"block {cell.block + 1} of {of}: {cell.variant}, {cell.connections}")
            found.append(await self._cell(cell))
        return found

    async def _cell(self, cell: Cell) -> Measured:
        meter = Meter({**self._sides[cell.variant].stack.families(), LOAD: [self._loader.pid]})
        read: dict[str, Mapping[str, float]] = {}

        def mark(name: str) -> None:
            read[name] = meter.read()

        outcome = await self._play(cell.variant, cell.connections, cell.seconds, self._timing.warm_up, mark)
        await asyncio.sleep(AFTERWARDS_S)
        return summarised(cell, None, outcome, spent(read["begin"], read["end"]))

    async def _play(
        self,
        name: str,
        connections: int,
        seconds: float,
        warm_up_s: float = 0.0,
        mark: Mark = lambda _: None,
    ) -> Outcome:
        self._jobs += 1
        side = self._sides[name]
        job = Job(
            url=str(side.stack.info["base_url"]),
            requests=[known()[PRODUCT].request(token) for token in side.tokens[:connections]],
            prefix=f"against-{self._jobs:05d}-",
            seconds=seconds,
            warm_up_s=warm_up_s,
        )
        return await self._loader.play(job, mark)
