"""What can go wrong inside a step. A fault counts how often it struck, so that a test knows it did."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from temporalio.exceptions import ApplicationError

from contracts.failures import LEDGER_CONFLICT

FAST = "fast"  # the step on the fast path, which is a local activity
DURABLE = "durable"  # the step as an activity of its own


@dataclass(kw_only=True)
class Fault:
    """Strikes `step` on its next `times` attempts (None: on every one), on one `way` or on both. A `late`
    fault strikes when the step has taken effect already: only its answer is lost."""

    step: str
    way: str | None = None
    late: bool = False
    times: int | None = 1
    struck: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)  # it struck, and the step went on all the same

    def hits(self, step: str, way: str) -> bool:
        return (
            self.step == step and self.way in (None, way) and (self.times is None or self.struck < self.times)
        )

    async def strike(self) -> None:
        raise NotImplementedError

    def assert_spent(self) -> None:
        """The fault that a test set has struck as often as it was told to."""
        assert self.struck > 0, f"{self} never struck"
        assert self.times is None or self.struck == self.times, f"{self} has strikes left"


@dataclass(kw_only=True)
class Breaks(Fault):
    """The connection breaks: the same step may well succeed a moment later."""

    async def strike(self) -> None:
        raise ConnectionError("the connection was lost")


@dataclass(kw_only=True)
class Refuses(Fault):
    """The step says that no repeat can repair it."""

    type: str = LEDGER_CONFLICT
    message: str = "it contradicts what is stored"

    async def strike(self) -> None:
        raise ApplicationError(self.message, type=self.type, non_retryable=True)


@dataclass(kw_only=True)
class Hangs(Fault):
    """The step hangs until the test says `go`. A `deaf` one does so though it be cancelled meanwhile, as a
    statement does that the database has begun to commit."""

    deaf: bool = False
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def strike(self) -> None:
        self.reached.set()
        waiting = asyncio.ensure_future(self.go.wait())
        while not waiting.done():
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError:
                if not self.deaf:
                    waiting.cancel()
                    raise


@dataclass(kw_only=True)
class Kills(Fault):
    """The process dies as by kill -9. Only for a worker in a process of its own."""

    async def strike(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(kw_only=True)
class Meddles(Fault):
    """Somebody else acts on the world just then: another worker, or an operator."""

    act: Callable[[], object]

    async def strike(self) -> None:
        self.act()
