"""Admission: how much is served at once. Beyond it, what comes is refused before it costs anything."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import ceil
from typing import Final

from prometheus_client import Gauge

from api.gateway.problems import RETRY_AFTER_S
from runtime import metrics

TURN_S: Final = 1.0
RETRY_AFTER_LIMIT_S: Final = 30
RECENT: Final = 0.05  # the share of the newest request in the mean of how long requests take
NEARLY_ALL: Final = 8  # what one owner may have, for each permit that is left to the others
ANYBODY: Final = ""  # the owner of what belongs to nobody in particular
# A body up to this size costs little more to read than the request that brought it.
SMALL_BYTES: Final = 1024
PAUSE_S_A_BYTE: Final = 1e-6


class Admission:
    """One for a process: what comes by HTTP, by sockets and from the queue shares it. Bets have a smaller
    limit of their own, so that a flood of them delays neither those admitted nor any read, and of those
    admitted only a few are under way at once."""

    def __init__(self, *, max_open_requests: int, max_open_bets: int, max_running_bets: int) -> None:
        self.requests = Permits(max_open_requests, metrics.OPEN_REQUESTS)
        self.bets = Permits(max_open_bets, metrics.OPEN_BETS)
        self.large = Line()
        self._turns = Turns(max_running_bets)

    def full(self, *, bet: bool) -> "Permits | None":
        """What has no permit left for such a call."""
        if bet and self.bets.full:
            return self.bets
        return self.requests if self.requests.full else None

    @asynccontextmanager
    async def serve(self, *, bet: bool) -> AsyncIterator[None]:
        """A permit for the call, and for a bet a turn too. To refuse what finds none, ask `full` before, with
        no pause in between; the queue's commands are not refused, for the queue is where they wait."""
        with self.requests.one():
            if not bet:
                yield
                return
            with self.bets.one():
                async with _turn_of(self._turns, ANYBODY):
                    yield


class Permits:
    """A limited number of permits, and how long each was lately held."""

    def __init__(self, limit: int, gauge: Gauge) -> None:
        self._limit, self._gauge = limit, gauge
        self._taken = 0
        self._mean_s = 0.0

    @property
    def full(self) -> bool:
        return self._taken >= self._limit

    @property
    def retry_after_s(self) -> int:
        """Whole seconds until the present holders are served, estimated from the last ones: when each holds
        its permit for the mean time, all that hold one now have released it after it."""
        return min(max(ceil(self._mean_s), RETRY_AFTER_S), RETRY_AFTER_LIMIT_S)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Takes a permit, and releases it however the block ends."""
        began = time.monotonic()
        self._taken += 1
        self._gauge.set(self._taken)
        try:
            yield
        finally:
            self._taken -= 1
            self._gauge.set(self._taken)
            self._mean_s += RECENT * (time.monotonic() - began - self._mean_s)


@asynccontextmanager
async def _turn_of(turns: "Turns", owner: str) -> AsyncIterator[None]:
    """Holds a turn while the block runs, but at most TURN_S: a longer bet waits for a service, and must not
    hold back bets that may need another one. More bets at once are no faster: each round would only take
    longer, until it runs out of the time that the fast path gives it and goes the expensive way."""
    released = False

    def release() -> None:
        nonlocal released
        if not released:
            released = True
            turns.release(owner)

    await turns.acquire(owner)
    limit = asyncio.get_running_loop().call_later(TURN_S, release)
    try:
        yield
    finally:
        limit.cancel()
        release()


class Turns:
    """Lets a few at a time go on: in the order of their arrival among those of one owner, the owners by
    turns. One that is alone may take nearly all, and never the last ones: who comes next waits for nobody."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # who had a turn last comes last

    async def acquire(self, owner: str) -> None:
        """Returns when it is the owner's turn, to be ended by `release`."""
        if owner not in self._waiting and self._may_have(owner):
            self._take(owner)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came just before
                self.release(owner)
            raise

    def release(self, owner: str) -> None:
        """Ends a turn, and lets the next ones go on."""
        self._free += 1
        release_one(self._taken, owner)
        while self._free and (following := self._following()) is not None:
            owner, turn = following
            if not turn.cancelled():
                self._take(owner)
                turn.set_result(None)

    def _following(self) -> tuple[str, asyncio.Future[None]] | None:
        """The one whose turn is next. Owners that have nearly all are few, so the search is short."""
        owner = next((owner for owner in self._waiting if self._may_have(owner)), None)
        if owner is None:
            return None
        queue = self._waiting.pop(owner)
        turn = queue.popleft()
        if queue:
            self._waiting[owner] = queue
        return owner, turn

    def _may_have(self, owner: str) -> bool:
        return may_have_one_more(self._taken[owner], self._free)

    def _take(self, owner: str) -> None:
        self._free -= 1
        self._taken[owner] += 1


def may_have_one_more(taken: int, free: int) -> bool:
    """Whether an owner that has `taken` permits may take one of those that are `free`. Alone it gets eight
    ninths; what is left shrinks with every owner that takes as much as it may, and is never nothing for one
    that has none while any is free. Of nine and fewer one owner may have all."""
    return taken < NEARLY_ALL * free


def release_one(taken: Counter[str], owner: str) -> None:
    """Forgets an owner with its last permit, so that nothing grows with their number."""
    taken[owner] -= 1
    if not taken[owner]:
        del taken[owner]


class Line:
    """Where large bodies are read one after another, their senders by turns, each after a pause in proportion
    to the size of the one before: reading takes a fifth of that time at worst. Small ones pass."""

    def __init__(self) -> None:
        self._turns = Turns(1)

    async def wait(self, sender: str, size: int) -> None:
        """Returns when a body of `size` bytes may be read."""
        if size <= SMALL_BYTES:
            return
        await self._turns.acquire(sender)
        asyncio.get_running_loop().call_later(size * PAUSE_S_A_BYTE, self._turns.release, sender)
