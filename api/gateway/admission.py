"""Admission: how much is served at once. Beyond it, what comes is refused before it costs anything."""

import asyncio
import time
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


class Admission:
    """One for a process: what comes by HTTP, by sockets and from the queue shares it. Bets have a smaller
    limit of their own, so that a flood of them delays neither those admitted nor any read, and of those
    admitted only a few are under way at once."""

    def __init__(self, *, max_open_requests: int, max_open_bets: int, max_running_bets: int) -> None:
        self.requests = Permits(max_open_requests, metrics.OPEN_REQUESTS)
        self.bets = Permits(max_open_bets, metrics.OPEN_BETS)
        self._turns = _Turns(max_running_bets)

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
                async with self._turns.one():
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


class _Turns:
    """Lets a few bets at a time go on, in the order of their arrival. More of them at once are no faster:
    each round would only take longer, until it runs out of the time that the fast path gives it and goes the
    expensive way. Waiting here costs nothing."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Holds a turn while the block runs, but at most TURN_S: a longer bet waits for a service, and must
        not hold back bets that may need another one."""
        released = False

        def release() -> None:
            nonlocal released
            if not released:
                released = True
                self._free.release()

        await self._free.acquire()
        limit = asyncio.get_running_loop().call_later(TURN_S, release)
        try:
            yield
        finally:
            limit.cancel()
            release()
