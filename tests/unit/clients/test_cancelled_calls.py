"""The client for event loops when its caller is cancelled: the next call finds a connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from croupier_client import AsyncGameClient, Money, Patience

from tests.support.conditions import HANG_S

BODY = b'{"balance":{"amount":100,"currency":"EUR"}}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)


@asynccontextmanager
async def casino() -> AsyncIterator[str]:
    """Says the balance to every request, in the test's own event loop."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(HEAD + BODY)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def client(url: str) -> AsyncGameClient:
    """With one connection, which each call needs."""
    http = httpx.AsyncClient(limits=httpx.Limits(max_connections=1), trust_env=False)
    return AsyncGameClient(url, "token", timeout_s=HANG_S, patience=Patience(total_s=0), http=http)


async def test_a_call_that_is_cancelled_at_any_moment_leaves_the_connection_to_the_next() -> None:
    """httpx by itself loses it when its own call is cancelled at the wrong one of these moments."""
    answered, turns = False, 0
    async with casino() as url:
        while not answered:
            async with client(url) as asked, asyncio.timeout(HANG_S):
                call = asyncio.create_task(asked.balance())
                for _ in range(turns):
                    await asyncio.sleep(0)
                answered = call.done()
                call.cancel()
                await asyncio.wait([call])
                assert await asked.balance() == Money(100, "EUR")
            turns += 1
    assert turns > 5, "it has not been cancelled in all its parts"


async def test_closing_ends_calls_that_nobody_waits_for() -> None:
    heard = asyncio.Event()

    async def keep_still(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        heard.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(keep_still, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(HANG_S):
            async with client(url) as asked:
                call = asyncio.create_task(asked.balance())
                await heard.wait()
                call.cancel()
            await asyncio.wait([call])
    assert call.cancelled()
