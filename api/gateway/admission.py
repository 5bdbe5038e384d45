"""Admission: how much is served at once. Beyond it, what comes is refused before it costs anything. No
operator takes all of it: the calls that wait for one operator's wallet keep nobody else's waiting."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import ceil
from typing import Final

from api.gateway.problems import RETRY_AFTER_S, Problem, unavailable
from runtime import metrics
from runtime.unavailable import UNAVAILABLE, WORDS, Cause

TURN_S: Final = 1.0
RETRY_AFTER_LIMIT_S: Final = 30
RECENT: Final = 0.05  # the share of the newest request in the mean of how long requests take
NEARLY_ALL: Final = 8  # what one owner may have, for each permit that is left to the others
COMMANDS_A_TURN: Final = 10  # commands that are held, for each bet that runs at once
# A body up to this size costs little more to read than the request that brought it.
SMALL_BYTES: Final = 1024
PAUSE_S_A_BYTE: Final = 2e-6
LINE_PATIENCE_S: Final = 2.0


class ShareFull(Problem):
    """One operator has nearly all permits of a kind: what it sends beyond that is refused, and it alone."""

    def __init__(self, owner: str, what: str, retry_after_s: int) -> None:
        detail = f"{WORDS[Cause.BUSY]} Too many of this operator's {what} are under way."
        super().__init__("overloaded", detail, retry_after=retry_after_s)
        UNAVAILABLE.labels(Cause.BUSY.value).inc()
        metrics.OPERATOR_REFUSED.labels(metrics.OPERATORS.of(owner), what).inc()


class Admission:
    """One for a process: what comes by HTTP, by sockets and from the queue shares it. Bets have a smaller
    limit of their own, so that a flood of them delays neither those admitted nor any read, and of those
    admitted only a few are under way at once. Commands have one of their own too: they wait here for their
    turns among the bets, so that no other operator's wait behind them. Of each limit, one operator may have
    nearly all while the others need nothing."""

    def __init__(
        self,
        *,
        max_open_requests: int,
        max_open_bets: int,
        max_running_bets: int,
        max_commands: int | None = None,
    ) -> None:
        self.requests = Permits("requests", max_open_requests)
        self.bets = Permits("bets", max_open_bets)
        self.commands = Permits("commands", max_commands or COMMANDS_A_TURN * max_running_bets)
        self.large = Line()
        self._turns = Turns(max_running_bets)
        self._overdue: Counter[str] = Counter()

    def full(self, *, bet: bool) -> "Permits | None":
        """What has no permit left for such a call, whose ever it is."""
        if bet and self.bets.full:
            return self.bets
        return self.requests if self.requests.full else None

    @asynccontextmanager
    async def call(self, owner: str, *, bet: bool) -> AsyncIterator[None]:
        """All that a call needs whose owner is known. Raises ShareFull."""
        with self.requests.one() as permit:
            permit.belongs_to(owner)
            if not bet:
                yield
                return
            async with self.bet(owner):
                yield

    @asynccontextmanager
    async def bet(self, owner: str) -> AsyncIterator[None]:
        """A permit among the bets, and a turn. Raises ShareFull."""
        with self.bets.one() as permit:
            try:
                permit.belongs_to(owner)
            except ShareFull:
                metrics.BETS_REFUSED.labels("overloaded").inc()
                raise
            async with self._turn(owner, taken=True):
                yield

    @asynccontextmanager
    async def command(self, owner: str, *, bet: bool) -> AsyncIterator[None]:
        """A place among the commands, and a turn for a bet. Commands are not refused, for the queue is where
        they wait; but those of an operator that has nearly all places, for services that do not answer, would
        wait there in front of everybody else's. Raises ShareFull for them."""
        with self.commands.one() as permit:
            permit.belongs_to(owner, refused=self._overdue[owner] > 0)
            async with self._turn(owner, taken=bet):
                yield

    @asynccontextmanager
    async def _turn(self, owner: str, *, taken: bool) -> AsyncIterator[None]:
        """Holds a turn while the block runs, but at most TURN_S: a longer bet waits for a service, and must
        not hold back bets that may need another one. More bets at once are no faster: each round would only
        take longer, until it runs out of the time that the fast path gives it and goes the expensive way."""
        if taken:
            await self._turns.acquire(owner)
        overdue = False

        def be_overdue() -> None:
            nonlocal overdue
            overdue = True
            self._count_overdue(owner, +1)
            if taken:
                self._turns.release(owner)

        limit = asyncio.get_running_loop().call_later(TURN_S, be_overdue)
        try:
            yield
        finally:
            limit.cancel()
            if overdue:
                self._count_overdue(owner, -1)
            elif taken:
                self._turns.release(owner)

    def _count_overdue(self, owner: str, change: int) -> None:
        add(self._overdue, owner, change)
        metrics.OPERATOR_OVERDUE.labels(metrics.OPERATORS.of(owner)).inc(change)


class Permits:
    """A limited number of permits, whose they are, and how long each was lately held."""

    def __init__(self, what: str, limit: int) -> None:
        self.limit = limit
        self.what = what
        self.of: Counter[str] = Counter()
        self._gauge = metrics.in_use(what)
        metrics.limit(what, limit)
        self._taken = 0
        self._mean_s = 0.0

    @property
    def full(self) -> bool:
        return self._taken >= self.limit

    @property
    def free(self) -> int:
        return self.limit - self._taken

    @property
    def retry_after_s(self) -> int:
        """Whole seconds until the present holders are served, estimated from the last ones: when each holds
        its permit for the mean time, all that hold one now have released it after it."""
        return min(max(ceil(self._mean_s), RETRY_AFTER_S), RETRY_AFTER_LIMIT_S)

    @contextmanager
    def one(self) -> Iterator["Permit"]:
        """Takes a permit, and releases it however the block ends. To refuse what finds none, ask `full`
        before, with no pause in between."""
        began = time.monotonic()
        permit = Permit(self)
        self._count(+1)
        try:
            yield permit
        finally:
            self._count(-1)
            permit.release()
            self._mean_s += RECENT * (time.monotonic() - began - self._mean_s)

    def _count(self, change: int) -> None:
        self._taken += change
        self._gauge.set(self._taken)


class Permit:
    """One of the Permits: nobody's, until it is known whose call it is for."""

    __slots__ = ("_owner", "_permits")

    def __init__(self, permits: Permits) -> None:
        self._permits = permits
        self._owner: str | None = None

    def belongs_to(self, owner: str, *, refused: bool = True) -> None:
        """Counts it for its owner. Raises ShareFull when the owner has nearly all of them, where that is
        `refused`."""
        permits = self._permits
        if refused and not may_have_one_more(permits.of[owner], permits.free + 1):
            raise ShareFull(owner, permits.what, permits.retry_after_s)
        self._owner = owner
        add(permits.of, owner, +1)

    def release(self) -> None:
        """Ends its being anybody's."""
        if self._owner is not None:
            add(self._permits.of, self._owner, -1)


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
        add(self._taken, owner, -1)
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
        add(self._taken, owner, +1)


def may_have_one_more(taken: int, free: int) -> bool:
    """Whether an owner that has `taken` permits may take one of those that are `free`. Alone it gets eight
    ninths; what is left shrinks with every owner that takes as much as it may, and is never nothing for one
    that has none while any is free. Of eight and fewer one owner may have all."""
    return taken < NEARLY_ALL * free


def add(counts: Counter[str], owner: str, change: int) -> None:
    """Counts, and forgets who has nothing, so that nothing grows with the number of operators."""
    counts[owner] += change
    if not counts[owner]:
        del counts[owner]


class Line:
    """Where large bodies are read one after another, their senders by turns, each after a pause in proportion
    to the size of the one before: reading takes a part of that time at worst. Small ones pass. Nobody waits
    for long, so that what waits takes no more memory than comes within that time."""

    def __init__(self) -> None:
        self._turns = Turns(1)

    async def wait(self, sender: str, size: int) -> None:
        """Returns when a body of `size` bytes may be read. Raises Problem when that is too long."""
        if size <= SMALL_BYTES:
            return
        try:
            async with asyncio.timeout(LINE_PATIENCE_S):
                await self._turns.acquire(sender)
        except TimeoutError:
            raise unavailable(Cause.BUSY, "Send large bodies one after another.") from None
        asyncio.get_running_loop().call_later(size * PAUSE_S_A_BYTE, self._turns.release, sender)
