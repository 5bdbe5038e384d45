"""The load generator against a small server of its own: what it counts, and that it says what failed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bench.latency import Latencies
from bench.load import Job, play
from bench.wire import Request

SETTLED = b'HTTP/1.1 201 Created\r\nContent-Length: 19\r\n\r\n{"state":"settled"}'
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nfull"
REQUEST = Request("/v1/game/rounds", {}, {"round_id": "{round_id}"})

Handle = Callable[[int], Awaitable[bytes]]


@asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[str]:
    """A server that answers its n-th request with what `handle(n)` gives; nothing ends the connection."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                count += 1
                answer = await handle(count)
                if not answer:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def job(url: str, *, players: int = 4, seconds: float = 0.3, **more: Any) -> Job:
    return Job(url=url, requests=[REQUEST] * players, prefix="t-", seconds=seconds, **more)


async def settled(_: int) -> bytes:
    await asyncio.sleep(0.005)
    return SETTLED


async def test_a_closed_loop_plays_over_every_connection_until_the_end() -> None:
    spent_s = time.process_time()
    async with serving(settled) as url:
        # So long that a machine which stands still for a second plays on for a while.
        outcome = await play(job(url, seconds=2))
    spent_s = time.process_time() - spent_s
    assert outcome.failures == 0
    assert outcome.rounds > 4 * 2, "every player plays more than once"
    assert outcome.rounds - 4 <= outcome.in_time <= outcome.rounds
    assert Latencies.of([outcome.histogram]).count == outcome.rounds
    assert 0 < outcome.cpu_s <= spent_s


async def test_what_begins_in_the_warm_up_is_played_and_not_recorded() -> None:
    marks: list[str] = []
    async with serving(settled) as url:
        outcome = await play(job(url, rate=100.0, warm_up_s=0.2), marks.append)
    assert marks == ["begin", "end"]
    assert outcome.rounds == pytest.approx(30, abs=1)
    assert Latencies.of([outcome.histogram]).count == outcome.rounds


async def test_an_open_loop_sends_exactly_what_is_due() -> None:
    async with serving(settled) as url:
        outcome = await play(job(url, rate=100.0))
    assert outcome.rounds == 30
    assert outcome.unanswered == 0


async def test_a_refusal_is_a_failure_and_is_quoted() -> None:
    async def refuse(_: int) -> bytes:
        return BUSY

    async with serving(refuse) as url:
        outcome = await play(job(url, players=1))
    assert outcome.rounds == 0
    assert 1 <= outcome.failures < 10
    assert outcome.problems[0] == "503 busy"


async def test_in_a_flood_refusals_count_by_themselves_and_only_with_retry_after() -> None:
    async def admit_some(number: int) -> bytes:
        return BUSY if number == 10 else await settled(number) if number % 3 == 0 else REFUSED

    async with serving(admit_some) as url:
        outcome = await play(job(url, rate=200.0, flood=True))
    assert outcome.failures == 1
    assert outcome.problems == ["503 busy"]
    assert (outcome.rounds, outcome.refused) == (20, 39)
    assert Latencies.of([outcome.histogram]).count == 20
    assert Latencies.of([outcome.refusals]).count == 39
    assert len(set(outcome.settled_ids)) == 20


async def test_outside_a_flood_a_refusal_is_a_failure_with_retry_after_too() -> None:
    async def refuse(_: int) -> bytes:
        return REFUSED

    async with serving(refuse) as url:
        outcome = await play(job(url, players=1))
    assert outcome.failures >= 1
    assert (outcome.refused, outcome.settled_ids) == (0, [])


async def test_a_lost_connection_is_a_failure_and_its_player_comes_back() -> None:
    async def drop_the_third(number: int) -> bytes:
        return b"" if number == 3 else await settled(number)

    async with serving(drop_the_third) as url:
        outcome = await play(job(url, players=1, rate=100.0))
    assert outcome.failures == 1
    assert outcome.rounds == 29


async def test_what_is_never_answered_counts_with_the_time_it_waited() -> None:
    over = asyncio.Event()

    async def hang(_: int) -> bytes:
        await over.wait()
        return b""

    began = time.perf_counter()
    async with serving(hang) as url:
        outcome = await play(job(url, players=1, seconds=0.2, rate=50.0, drain_s=0.2))
        took_ms = 1000 * (time.perf_counter() - began)
        over.set()
    assert outcome.rounds == 0
    assert outcome.unanswered == 10
    # The median one is due after 80 to 100 ms, and given up when 400 ms are over, however late that is.
    median_ms = Latencies.of([outcome.histogram]).percentile_ms(50)
    assert median_ms is not None
    assert 290 <= median_ms < took_ms - 75


async def test_nobody_listening_is_an_error() -> None:
    async with serving(settled) as url:
        pass
    with pytest.raises(OSError, match=r"."):
        await play(job(url))
