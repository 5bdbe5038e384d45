"""What keeps one operator's dead wallet from costing anybody else: a bulkhead and a circuit breaker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager


class NotAsked(Exception):
    """The call was not made. `code` is what the answer says."""

    code: str


class WalletBusy(NotAsked):
    """As many calls as the wallet may have are under way, and none ended in time."""

    code = "wallet-busy"


class WalletAway(NotAsked):
    """The wallet has given no certain answer for a while; it is left alone until the pause is over."""

    code = "wallet-away"


class Bulkhead:
    """Room for `places` calls at once. Who finds none waits for `wait_s` at most. `waiting` hears +1 when a
    call asks for its place, and -1 when it has one or gives up."""

    def __init__(
        self, *, places: int, wait_s: float, waiting: Callable[[int], None] = lambda _change: None
    ) -> None:
        self._places = places
        self._wait_s = wait_s
        self._waiting = waiting
        self._free = asyncio.Semaphore(places)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Raises WalletBusy."""
        self._waiting(+1)
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise WalletBusy(f"all {self._places} calls to this wallet are taken") from None
        finally:
            self._waiting(-1)
        try:
            yield
        finally:
            self._free.release()

    async def close(self) -> None:
        """Returns when the last call has ended. From then on there is no place."""
        for _ in range(self._places):
            await self._free.acquire()


class Breaker:
    """Closed, every call passes. After `unknowns` unknown outcomes in a row it opens, and nothing passes.
    After `pause_s` it is half-open: one call tries, and closes it or opens it again. `now_s` never goes
    back."""

    def __init__(self, *, unknowns: int, pause_s: float, now_s: Callable[[], float]) -> None:
        self._limit = unknowns
        self._pause_s = pause_s
        self._now_s = now_s
        self._unknowns = 0
        self._closed = True
        self._trying = False
        self._opened_at_s = now_s()

    @property
    def is_open(self) -> bool:
        """Also while it is half-open."""
        return not self._closed

    @contextmanager
    def passage(self) -> Iterator[None]:
        """Raises WalletAway while it is open. A trial that is cancelled leaves its place to the next call."""
        if self._closed:
            yield
            return
        if self._trying or self._now_s() - self._opened_at_s < self._pause_s:
            raise WalletAway("the wallet gave no certain answer for a while, so it was not asked")
        self._trying = True
        try:
            yield
        finally:
            self._trying = False

    def record(self, *, certain: bool) -> None:
        """The outcome of a call that passed."""
        self._unknowns = 0 if certain else self._unknowns + 1
        self._closed = self._unknowns < self._limit
        if not self._closed:
            self._opened_at_s = self._now_s()
