"""What keeps one dead receiver from costing anybody else: a bulkhead and a circuit breaker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager


class NotAsked(Exception):
    """The call was not made."""


class Busy(NotAsked):
    """As many calls as the receiver may have are under way, and none ended in time."""


class Away(NotAsked):
    """The receiver has given no certain answer for a while; it is left alone until the pause is over."""


class Bulkhead:
    """Permits for so many calls at once. Who finds none free waits for `wait_s` at most, without end for
    None. `waiting` hears +1 when a call asks for its permit, and -1 when it has one or gives up."""

    def __init__(
        self, *, permits: int, wait_s: float | None, waiting: Callable[[int], None] = lambda _change: None
    ) -> None:
        self._permits = permits
        self._wait_s = wait_s
        self._waiting = waiting
        self._free = asyncio.Semaphore(permits)

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[None]:
        """Raises Busy."""
        self._waiting(+1)
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise Busy(f"all {self._permits} calls that may be under way at once are") from None
        finally:
            self._waiting(-1)
        try:
            yield
        finally:
            self._free.release()

    async def close(self) -> None:
        """Returns when the last call has ended. From then on there is no permit."""
        for _ in range(self._permits):
            await self._free.acquire()


class Breaker:
    """Closed, every call passes. After `unknowns` unknown outcomes in a row it opens, and nothing passes.
    After `pause_s` it is half-open: one call tries, and closes it or opens it again. `now_s` never goes
    back.

    An outcome may be `of` somebody whom alone it may concern. Then it counts once in a row, and again says
    nothing: neither does it open the breaker, nor does it end a trial for the others."""

    def __init__(self, *, unknowns: int, pause_s: float, now_s: Callable[[], float]) -> None:
        self._limit = unknowns
        self._pause_s = pause_s
        self._now_s = now_s
        self._unknowns = 0
        self._of: set[str] = set()
        self._closed = True
        self._trying = False
        self._opened_at_s = now_s()

    @property
    def is_open(self) -> bool:
        """Also while it is half-open."""
        return not self._closed

    @contextmanager
    def passage(self) -> Iterator[None]:
        """Raises Away while it is open. A trial that is cancelled leaves its turn to the next call."""
        if self._closed:
            yield
            return
        if self._trying or self._now_s() - self._opened_at_s < self._pause_s:
            raise Away("it gave no certain answer for a while, so it was not asked")
        self._trying = True
        try:
            yield
        finally:
            self._trying = False

    def record(self, *, certain: bool, of: str | None = None) -> None:
        """The outcome of a call that passed."""
        if of in self._of and not certain:
            return
        if certain:
            self._unknowns = 0
            self._of.clear()
        elif of is None:
            self._unknowns += 1
        else:
            self._of.add(of)
        self._closed = self._unknowns + len(self._of) < self._limit
        if not self._closed:
            self._opened_at_s = self._now_s()
