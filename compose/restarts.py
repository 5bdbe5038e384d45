"""Starting again what dies: after growing pauses, what it needs first, and up to a limit.

A component that dies again and again has something wrong that no restart mends. Then everything stops, as it
would at the first death with `--strict`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from compose.deaths import Death, DeathRecord
from compose.problems import Died, DiedTooOften

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
# Deaths in a row, each within HEALTHY_S of its start: the last is followed by no restart.
DEATHS_LIMIT: Final = 7
HEALTHY_S: Final = 60.0

log = logging.getLogger(__name__)


class Restartable(Protocol):
    """What Restarts needs of a Stack."""

    async def death(self) -> Died:
        """The next component that ends though nobody asked it to."""

    async def revive(self, name: str) -> None:
        """Starts one that has died, and returns when it is ready. Raises Died."""

    def needed_by(self, name: str) -> set[str]:
        """The components that must run for this one to start."""


class Restarts:
    """`report` gets each death, before the pause that follows it."""

    def __init__(
        self,
        stack: Restartable,
        record: DeathRecord,
        report: Callable[[Death], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._stack, self._record, self._report = stack, record, report
        self._clock, self._pause = clock, pause
        self._in_a_row: Counter[str] = Counter()
        self._ready_at: dict[str, float] = {}
        self._returning: dict[str, asyncio.Task[None]] = {}

    async def keep(self) -> None:
        """Starts again whatever dies. Raises DiedTooOften."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    died = await self._stack.death()
                    self._returning[died.name] = group.create_task(self._bring_back(died))
        except ExceptionGroup as problems:
            raise problems.exceptions[0] from None

    async def _bring_back(self, died: Died) -> None:
        name = died.name
        while True:
            await self._pause(self._pause_after(died))
            await self._until_there(self._stack.needed_by(name))
            try:
                await self._stack.revive(name)
            except Died as again:
                died = again
                continue
            self._ready_at[name] = self._clock()
            return

    def _pause_after(self, died: Died) -> float:
        """The pause before the restart. Raises DiedTooOften where there is none."""
        name = died.name
        if self._clock() - self._ready_at.get(name, -HEALTHY_S) >= HEALTHY_S:
            self._in_a_row[name] = 0
        self._in_a_row[name] += 1
        # What dies while it starts has not been healthy either.
        self._ready_at[name] = self._clock()
        times = self._in_a_row[name]
        pause_s = min(FIRST_PAUSE_S * (1 << (times - 1)), LONGEST_PAUSE_S) if times < DEATHS_LIMIT else None
        death = Death.of(died, restart_in_s=pause_s)
        self._record.add(death)
        self._report(death)
        if pause_s is None:
            raise DiedTooOften(died, times)
        log.warning("%s %s; it starts again in %.1f s (%d in a row)", name, died.how, pause_s, times)
        return pause_s

    async def _until_there(self, names: set[str]) -> None:
        """Returns when none of them is being brought back."""
        while waiting := {
            task for name, task in self._returning.items() if name in names and not task.done()
        }:
            await asyncio.wait(waiting)


async def keep_up(stack: Restartable, record: DeathRecord, report: Callable[[Death], None]) -> None:
    """Starts again what dies. Raises DiedTooOften."""
    await Restarts(stack, record, report).keep()


async def stop_at_the_first(stack: Restartable, record: DeathRecord, report: Callable[[Death], None]) -> None:
    """What `--strict` asks for. Raises Died."""
    died = await stack.death()
    death = Death.of(died, restart_in_s=None)
    record.add(death)
    report(death)
    raise died
