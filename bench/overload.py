"""Overload: five times what the product can do, what it answers then, and how soon it is itself again.

Capacity, normal latency, flood and recovery follow each other within a minute, so that a slow hour of the
machine hits all of them. Nothing of it is compared with a peer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Final

import asyncpg

from bench.latency import Latencies
from bench.load import Job, Outcome
from bench.testbed import Testbed
from bench.variants import Variant
from verification import books
from verification.invariants.invariant import Invariant, violations
from verification.invariants.table import INVARIANTS

TIMES_CAPACITY: Final = 5
CAPACITY_PLAYERS: Final = 64
NORMAL_PLAYERS: Final = 16
FLOOD_PREFIX: Final = "flood-"
# More than are admitted at once by far: a player waits for an answer before the next bet.
FLOOD_PLAYERS: Final = 256
NORMAL_WITHIN: Final = 1.25  # of the p50 before the flood
RECOVERY_LIMIT_S: Final = 20.0
CLOSED_WITHIN_S: Final = 15.0
PAUSE_S: Final = 0.1
STEPS: Final = 5


@dataclass(frozen=True, slots=True)
class Spans:
    """Seconds of each part."""

    warm_up: float = 1.0
    capacity: float = 8.0
    normal: float = 3.0
    flood: float = 15.0
    slice: float = 1.0


QUICK_SPANS: Final = Spans(warm_up=0.5, capacity=3.0, normal=1.5, flood=5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the ledger says once the flood is over, in rounds. `missing` were answered as settled and are not;
    `strays` are in the ledger and were never answered as settled; `open` and their events did not come to
    their end in time. `violations` has a line for each invariant that is broken.
    """

    missing: int
    strays: int
    open: int
    violations: tuple[str, ...]

    @property
    def wrong(self) -> int:
        """Zero when all is in order."""
        return self.missing + self.strays + self.open + len(self.violations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """Rates in rounds/s, latencies in ms and from when a round was due. `load_cpu` is the load generator's
    share of a core during the flood. `recovered_s` is None when the p50 stayed high.
    """

    capacity_per_s: float
    capacity_p99_ms: float | None
    rate: float
    admitted: int
    admitted_per_s: float
    admitted_histogram: str
    refused: int
    refused_histogram: str
    failures: int
    unanswered: int
    load_cpu: float
    normal_p50_ms: float | None
    recovered_s: float | None
    books: Books
    problems: tuple[str, ...]

    def admitted_ms(self, percent: float) -> float | None:
        return Latencies.of([self.admitted_histogram]).percentile_ms(percent)

    def refused_ms(self, percent: float) -> float | None:
        return Latencies.of([self.refused_histogram]).percentile_ms(percent)

    @property
    def p99_over_capacity(self) -> float | None:
        """The p99 of admitted rounds in the flood, as a multiple of that at capacity."""
        ours, before = self.admitted_ms(99), self.capacity_p99_ms
        return ours / before if ours is not None and before else None

    @property
    def lost(self) -> int:
        """Everything that was neither played to its end nor refused as it should be."""
        return self.failures + self.unanswered + self.books.wrong


async def measure(
    testbed: Testbed, product: Variant, spans: Spans, advance: Callable[[str], None]
) -> Overload:
    """`advance` hears what comes next, STEPS times. Raises LoadFailed."""
    players = _Players(testbed, product)
    advance(f"overload: capacity, {CAPACITY_PLAYERS} players")
    at_capacity = await players.play(CAPACITY_PLAYERS, spans.capacity, warm_up_s=spans.warm_up)
    advance(f"overload: normal, {NORMAL_PLAYERS} players")
    normal_ms = _p50(await players.play(NORMAL_PLAYERS, spans.normal, warm_up_s=spans.warm_up))
    capacity = at_capacity.in_time / spans.capacity
    rate = max(TIMES_CAPACITY * capacity, 1.0)
    advance(f"overload: {rate:.0f} rounds/s are due")
    flood, ended = await players.flood(rate, spans.flood)
    advance("overload: recovery")
    recovered_s = await _recovery(players, normal_ms, ended, spans.slice)
    advance("overload: the books")
    books = await _books(testbed.stack.addresses.database_url, flood.settled_ids)
    return Overload(
        capacity_per_s=capacity,
        capacity_p99_ms=Latencies.of([at_capacity.histogram]).percentile_ms(99),
        rate=rate,
        admitted=flood.rounds,
        admitted_per_s=flood.in_time / spans.flood,
        admitted_histogram=flood.histogram,
        refused=flood.refused,
        refused_histogram=flood.refusals,
        failures=flood.failures,
        unanswered=flood.unanswered,
        load_cpu=flood.cpu_s / spans.flood,
        normal_p50_ms=normal_ms,
        recovered_s=recovered_s,
        books=books,
        problems=(*flood.problems, *books.violations),
    )


class _Players:
    """Lets the testbed's players bet at the product, each time with round ids of their own."""

    def __init__(self, testbed: Testbed, product: Variant) -> None:
        self._loader = testbed.loader
        self._url = testbed.urls[product.name]
        self._requests = [product.request(token) for token in testbed.tokens]
        self._numbers = count()

    async def play(self, players: int, seconds: float, *, warm_up_s: float = 0.0) -> Outcome:
        prefix = f"calm-{next(self._numbers):03d}-"
        requests = self._requests[:players]
        job = Job(url=self._url, requests=requests, prefix=prefix, seconds=seconds, warm_up_s=warm_up_s)
        return await self._loader.play(job)

    async def flood(self, rate: float, seconds: float) -> tuple[Outcome, float]:
        """Its outcome, and when the last round was due, in seconds of the monotonic clock."""
        ended = time.monotonic()

        def mark(_: str) -> None:
            nonlocal ended
            ended = time.monotonic()

        requests = self._requests[:FLOOD_PLAYERS]
        job = Job(
            url=self._url, requests=requests, prefix=FLOOD_PREFIX, seconds=seconds, rate=rate, flood=True
        )
        return await self._loader.play(job, mark), ended


async def _recovery(players: _Players, normal_ms: float | None, ended: float, slice_s: float) -> float | None:
    """Seconds from the flood's end to the end of the first slice that is as quick as before."""
    while time.monotonic() - ended < RECOVERY_LIMIT_S:
        p50 = _p50(await players.play(NORMAL_PLAYERS, slice_s))
        if p50 is not None and normal_ms is not None and p50 <= NORMAL_WITHIN * normal_ms:
            return time.monotonic() - ended
    return None


def _p50(outcome: Outcome) -> float | None:
    return Latencies.of([outcome.histogram]).percentile_ms(50)


async def _books(database_url: str, settled_ids: Sequence[str]) -> Books:
    """Waits until everything has come to its end, then reads the whole ledger in one snapshot."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        open_ = await _open_after_waiting(pool)
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            counts = await connection.fetchrow(FLOOD_IN_LEDGER, settled_ids, FLOOD_PREFIX)
            violations = [await _violation(connection, each) for each in INVARIANTS]
    return Books(**counts, open=open_, violations=tuple(found for found in violations if found))


async def _open_after_waiting(pool: asyncpg.Pool) -> int:
    """How many rounds and events are still on their way when there was time enough for all."""
    now, deadline = datetime.now(UTC), time.monotonic() + CLOSED_WITHIN_S
    while True:
        open_ = await books.under_way(pool, player_keys=(), began_before=now)
        if not open_ or time.monotonic() > deadline:
            return open_
        await asyncio.sleep(PAUSE_S)


async def _violation(connection: asyncpg.Connection, invariant: Invariant) -> str | None:
    found = await violations(connection, invariant, overdue_after_s=CLOSED_WITHIN_S)
    return f"{invariant.name}: {found.count}, such as {found.examples[0]}" if found.count else None


FLOOD_IN_LEDGER: Final = """
    SELECT
        (SELECT count(*) FROM unnest($1::text[]) answered (id) WHERE NOT EXISTS (
            SELECT FROM rounds r WHERE r.round_id = answered.id AND r.state = 'settled')) AS missing,
        (SELECT count(*) FROM rounds r WHERE starts_with(r.round_id, $2) AND NOT EXISTS (
            SELECT FROM unnest($1::text[]) answered (id) WHERE answered.id = r.round_id)) AS strays
"""
