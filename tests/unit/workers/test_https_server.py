"""Programs that browsers reach by themselves: whoever sends nothing keeps no place from others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from runtime.settings import Settings
from tests.support.conditions import HANG_S, until
from workers.https_server import Place

CONNECTIONS = 4
ASKED = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])
    place = Place("console", "127.0.0.1", None, None, None, Settings(request_head_timeout_s=0.5))
    listener = place.listen()
    server = place.server(app, connections=CONNECTIONS)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving


async def answer(port: int, sent: bytes) -> bytes:
    """All that comes until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(HANG_S):
        found = await reader.read()
    writer.close()
    return found


@pytest.mark.parametrize("sent", [b"", ASKED[:20]], ids=["nothing", "half-a-head"])
async def test_a_request_that_does_not_arrive_ends_its_connection(port: int, sent: bytes) -> None:
    assert b"here" not in await answer(port, sent)
    assert b"here" in await answer(port, ASKED)


async def test_one_address_has_half_of_the_places_and_loses_those_that_it_does_not_use(port: int) -> None:
    async with AsyncExitStack() as idle:

        async def refused() -> bool:
            """On a busy machine what was opened may have ended before the others ask. Then all of it ends
            before the next try, for the places of all are no more than two tries take."""
            opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS // 2)]
            for _, writer in opened:
                idle.callback(writer.close)
            if (await answer(port, ASKED)).startswith(b"HTTP/1.1 503"):
                return True
            await asyncio.gather(*(reader.read() for reader, _ in opened))
            return False

        async def served() -> bool:
            return b"here" in await answer(port, ASKED)

        await until(refused)
        await until(served)
