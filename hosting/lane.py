"""The processes of one game and who waits for them: one game's queue never holds up another's.

A process that is lost is replaced, at once after the first loss, and after pauses that double while one loss
follows another. While all processes of a lane rest, the game is out of order: who waits is told so, and so is
who asks. The first question after a pause shows whether the game has recovered.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

from games.checks import GameError
from games.draws import HmacDraws
from games.registry import PluginError
from hosting.messages import Answer, Play, Question
from hosting.process import GameProcess, ProcessLost

FIRST_PAUSE_S: Final = 1
LONGEST_PAUSE_S: Final = 60
# A bet that would wait longer than this for its game is not taken, so that slow games do not hold all places.
WAIT_LIMIT_NS: Final = 1_000_000_000
# What a new answer weighs in the average of their times.
WEIGHT: Final = 5


class GameLost(GameError):
    """The game gave no answer to this question, within its limits or at all. No retry helps."""


class GameOutOfOrder(RuntimeError):
    """The game's processes were lost one after the other, and it rests for a while."""


class GameBusy(RuntimeError):
    """So many bets wait for the game already that a further one would wait long."""


class Lane:
    """`start` gives a process that runs. `name` is the game's, for people. `lost` hears why each process was
    lost. Nothing runs before the first question, unless `first` does."""

    def __init__(
        self,
        name: str,
        start: Callable[[], Awaitable[GameProcess]],
        *,
        processes: int,
        lost: Callable[[str], None],
        first: GameProcess | None = None,
    ) -> None:
        self._name, self._start, self._size, self._lost = name, start, processes, lost
        self._idle = [] if first is None else [first]
        self._waiting: deque[asyncio.Future[GameProcess]] = deque()
        self._places = len(self._idle)  # processes that run, are being started, or rest
        self._resting = 0
        self._losses = 0  # one after the other
        self._bets = 0
        self._average_ns = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def out_of_order(self) -> bool:
        return self._resting == self._size

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Counts a bet on the game. Raises GameOutOfOrder and GameBusy."""
        if self.out_of_order:
            raise self._out_of_order()
        if self._bets * self._average_ns > WAIT_LIMIT_NS * self._size:
            raise GameBusy(f"{self._name} answers slowly, and {self._bets} bets wait for it")
        self._bets += 1
        try:
            yield
        finally:
            self._bets -= 1

    async def ask(self, question: Question, draws: HmacDraws | None = None) -> Answer:
        """Raises GameLost and GameOutOfOrder. A caller that gives up costs no process: the answer comes
        within the limits, and is dropped."""
        process = await self._process()
        return await asyncio.shield(self._spawn(self._answered(process, question, draws)))

    async def close(self) -> None:
        """Ends all processes."""
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in self._idle:
            await process.end()

    async def _process(self) -> GameProcess:
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            self._note_loss(ProcessLost("its process was killed between two rounds"))
            self._spawn(self._replaced(process))
        if self.out_of_order:
            raise self._out_of_order()
        if self._places < self._size:
            self._places += 1
            self._spawn(self._replaced())
        waiter: asyncio.Future[GameProcess] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._free(waiter.result())
            raise

    async def _answered(self, process: GameProcess, question: Question, draws: HmacDraws | None) -> Answer:
        since = time.monotonic_ns()
        try:
            answer = await process.ask(question, draws)
        except asyncio.CancelledError:
            await process.end()
            raise
        except Exception as error:  # noqa: BLE001 - after anything unforeseen the process is of no use either
            self._note_loss(error)
            self._spawn(self._replaced(process))
            raise GameLost(f"{self._name}: {error}") from None
        finally:
            took_ns = time.monotonic_ns() - since
            self._average_ns = ((WEIGHT - 1) * self._average_ns + took_ns) // WEIGHT
        if isinstance(question, Play):  # a game that takes every bet may lose every round
            self._losses = 0
        self._free(process)
        return answer

    async def _replaced(self, process: GameProcess | None = None) -> None:
        """Ends `process`, and brings another one up in its place."""
        if process is not None:
            await process.end()
        while True:
            await self._rest()
            try:
                started = await self._start()
            except (ProcessLost, PluginError, OSError) as error:
                self._note_loss(error)
            else:
                self._free(started)
                return

    async def _rest(self) -> None:
        if self._losses < 2:
            return
        self._resting += 1
        if self.out_of_order:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_exception(self._out_of_order())
            self._waiting.clear()
        try:
            await asyncio.sleep(min(FIRST_PAUSE_S << min(self._losses - 2, 10), LONGEST_PAUSE_S))
        finally:
            self._resting -= 1

    def _free(self, process: GameProcess) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(process)
                return
        self._idle.append(process)

    def _note_loss(self, error: Exception) -> None:
        self._losses += 1
        self._lost(f"{self._name}: {error}")

    def _out_of_order(self) -> GameOutOfOrder:
        return GameOutOfOrder(f"{self._name} is out of order: it failed {self._losses} times in a row")

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may have gone
