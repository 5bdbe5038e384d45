"""The load generator, a process of its own: `python -m bench.load` reads jobs, one JSON line each, and
writes one JSON line for each when it is done.

It is light because it shares the machine with what it measures: an asyncio protocol on keep-alive sockets, no
task for a request, requests made beforehand. Its own CPU is part of every result.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast

import httptools
import uvloop

from bench.latency import Latencies
from bench.over_queue import SCHEMES, Line, QueuePlayer
from bench.pace import ClosedLoop, OpenLoop, Pace
from bench.wire import BODY_KEPT_BYTES, Answers, Request, address, cut, is_settled, round_ids

PROBLEMS_KEPT: Final = 5
PAUSE_AFTER_FAILURE_S: Final = 0.05
REFUSED: Final = 503


Mark = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`requests` has one entry for each connection, which is one player. With `rate` (rounds/s) the loop is
    open. What begins within the first `warm_up_s` is played and not recorded, with no pause before what is
    measured, so that the measured `seconds` begin with everybody under way. `drain_s`: how long answers are
    waited for afterwards. In a `flood` refusals are expected: 503 with Retry-After counts by itself, and the
    ids of all settled rounds are handed back. An AMQP URL means the broker's queue instead of HTTP.
    """

    url: str
    requests: Sequence[Request]
    prefix: str
    seconds: float
    rate: float | None = None
    warm_up_s: float = 0.0
    drain_s: float = 15.0
    flood: bool = False


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a job gave. `rounds` began within the measured time and were answered with success, whenever that
    was; `in_time` were answered within it, whenever they began. `unanswered` were due and never answered;
    they are in the histogram with the time they had waited. `cpu_s` is this process's own CPU within the
    time. Of a flood, `refused` and `refusals` (a histogram) are of the refusals, and `settled_ids` has every
    round that was answered as settled, in the warm-up too.
    """

    rounds: int = 0
    in_time: int = 0
    failures: int = 0
    unanswered: int = 0
    cpu_s: float = 0.0
    histogram: str = ""
    problems: list[str] = field(default_factory=list)
    refused: int = 0
    refusals: str = ""
    settled_ids: list[str] = field(default_factory=list)


def job_of(line: str | bytes) -> Job:
    """Raises TypeError or ValueError for what is no job."""
    values = json.loads(line)
    return Job(**{**values, "requests": [Request(**request) for request in values["requests"]]})


class Connection(asyncio.Protocol):
    """One keep-alive connection of one player, with at most one round under way."""

    def __init__(self, run: Run, request: Request, host: str) -> None:
        self._run, self._request, self._parts = run, request, cut(request, host=host)
        self._answers = Answers(self._answered)
        self._transport: asyncio.Transport | None = None
        self.since: float | None = None  # from when the round under way counts
        self.round_id = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        try:
            self._answers.feed(data)
        except httptools.HttpParserError as error:
            assert self._transport is not None
            self._run.note(f"no HTTP: {error}")
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._run.lost(self, self.since, self._request)

    def send(self, since: float, round_id: bytes) -> None:
        assert self._transport is not None, "who is free is connected"
        assert self.since is None, "one round at a time"
        self.since, self.round_id = since, round_id
        self._transport.write(round_id.join(self._parts))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _answered(self, status: int, body: bytes) -> None:
        since, self.since = self.since, None
        assert since is not None, "an answer belongs to a request"
        if status == REFUSED and self._answers.retry_after and self._run.is_flood:
            self._run.refused(self, since)
        else:
            self._run.answered(self, since, status, body)


AnyPlayer = Connection | QueuePlayer


class Run:
    """One job under way: who is free, what is due, what came of it."""

    def __init__(self, job: Job, mark: Mark) -> None:
        self._job, self._mark, self._clock = job, mark, time.perf_counter
        self._loop = asyncio.get_running_loop()
        self._ids = round_ids(job.prefix)
        self._latencies, self._refusals = Latencies(), Latencies()
        self._outcome = Outcome()
        self._free: deque[AnyPlayer] = deque()
        self._connections: set[AnyPlayer] = set()
        self._line: Line | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pace: Pace | None = None
        self._begin = self._end = self._cpu_s = 0.0
        self._measured = asyncio.Event()
        self._ending = False
        self._done = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_flood(self) -> bool:
        return self._job.flood

    async def play(self) -> Outcome:
        """Connect everybody first, then play, then wait for what is under way."""
        if self._job.url.startswith(SCHEMES):
            self._line = await Line.open(self._job.url, self)
        await asyncio.gather(*(self._connect(request) for request in self._job.requests))
        job, now = self._job, self._clock()
        self._begin, self._end = now + job.warm_up_s, now + job.warm_up_s + job.seconds
        self._pace = self._pace_from(now)
        self._loop.call_later(job.warm_up_s, self._begins)
        self._loop.call_later(job.warm_up_s + job.seconds, self._ends)
        self._go_on()
        await self._measured.wait()
        try:
            await asyncio.wait_for(self._done.wait(), job.drain_s)
        except TimeoutError:
            self._give_up()
        self._ending = True
        self._close()
        if self._line is not None:
            await self._line.close()
        self._outcome.histogram = self._latencies.text()
        self._outcome.refusals = self._refusals.text()
        return self._outcome

    def _begins(self) -> None:
        self._cpu_s = time.process_time()
        self._mark("begin")

    def _ends(self) -> None:
        self._outcome.cpu_s = time.process_time() - self._cpu_s
        self._mark("end")
        self._measured.set()

    def _pace_from(self, began: float) -> Pace:
        if self._job.rate is None:
            return ClosedLoop(end=self._end)
        return OpenLoop(rate=self._job.rate, start=began, end=self._end)

    async def _connect(self, request: Request) -> None:
        connection = await self._connection(request)
        self._connections.add(connection)
        self._free.append(connection)

    async def _connection(self, request: Request) -> AnyPlayer:
        """Raises OSError."""
        if self._line is not None:
            return self._line.seat(request)
        host, port = address(self._job.url)
        _, connection = await self._loop.create_connection(
            lambda: Connection(self, request, f"{host}:{port}"), host, port
        )
        return connection

    def _go_on(self) -> None:
        """Send what is due over who is free, then wait for the next moment or say that all is done."""
        assert self._pace is not None
        while self._free:
            since = self._pace.take(self._clock())
            if since is None:
                break
            self._free.popleft().send(since, self._ids())
        if self._free:
            self._wait_for_next()

    def _wait_for_next(self) -> None:
        assert self._pace is not None
        due = self._pace.due_at()
        if due is not None:
            if self._timer is None:
                self._timer = self._loop.call_later(max(due - self._clock(), 0), self._timer_rings)
        elif len(self._free) == len(self._job.requests):
            self._done.set()

    def _timer_rings(self) -> None:
        self._timer = None
        self._go_on()

    def answered(self, connection: AnyPlayer, since: float, status: int, body: bytes) -> None:
        """An answer arrived; only a settled round counts as one."""
        if self._ending:
            return
        now = self._clock()
        if is_settled(status, body):
            if since >= self._begin:
                self._latencies.record(now - since)
                self._outcome.rounds += 1
            if self.is_flood:
                self._outcome.settled_ids.append(connection.round_id.decode("ascii"))
            self._outcome.in_time += self._begin <= now <= self._end
            self._back(connection)
            return
        self._outcome.failures += 1
        self.note(f"{status} {body[:BODY_KEPT_BYTES].decode(errors='replace')}")
        # A pause, so that a target that refuses everything is not measured by how fast it refuses.
        self._loop.call_later(PAUSE_AFTER_FAILURE_S, self._back, connection)

    def refused(self, connection: AnyPlayer, since: float) -> None:
        """A refusal arrived in a flood; its player is free at once, for another round is due already."""
        if self._ending:
            return
        if since >= self._begin:
            self._refusals.record(self._clock() - since)
            self._outcome.refused += 1
        self._back(connection)

    def _back(self, connection: AnyPlayer) -> None:
        if connection in self._connections and not self._ending:
            self._free.append(connection)
            self._go_on()

    def lost(self, connection: AnyPlayer, since: float | None, request: Request) -> None:
        """A connection ended that this side did not end; its player comes back with a new one."""
        if self._ending:
            return
        self._connections.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if since is not None:
            self._outcome.failures += 1
            self.note("the connection was lost with a round under way")
        task = self._loop.create_task(self._come_back(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _come_back(self, request: Request) -> None:
        while not self._ending:
            await asyncio.sleep(PAUSE_AFTER_FAILURE_S)
            try:
                await self._connect(request)
            except OSError as error:
                self.note(f"cannot connect: {type(error).__name__}")
            else:
                self._go_on()
                return

    def note(self, problem: str) -> None:
        if len(self._outcome.problems) < PROBLEMS_KEPT:
            self._outcome.problems.append(problem)

    def _give_up(self) -> None:
        now = self._clock()
        waiting = [held.since for held in self._connections if held.since is not None]
        if isinstance(self._pace, OpenLoop):
            waiting += self._pace.overdue(now)
        lost = [since for since in waiting if since >= self._begin]
        for since in lost:
            self._latencies.record(now - since)
        self._outcome.unanswered = len(lost)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        for connection in list(self._connections):
            connection.close()


async def play(job: Job, mark: Mark = lambda _: None) -> Outcome:
    """Play one job on the running loop. `mark` hears "begin" and "end" of the measured time. Raises OSError
    when nobody listens.
    """
    return await Run(job, mark).play()


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Jobs from standard input until it ends. Each gives a line for each mark, then one for its outcome."""
    for line in sys.stdin.buffer:
        try:
            _say(asdict(uvloop.run(play(job_of(line), lambda mark: _say({"mark": mark})))))
        except OSError as error:
            _say({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
