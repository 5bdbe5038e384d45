"""Who brings the worst that a message may be keeps the ingress less than half busy, so that everybody else
waits at most twice as long."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect

from api.gateway.rate_limits import BYTES_A_TOKEN
from runtime.settings import Settings
from tests.conftest import Services
from tests.e2e.parties import Operator
from tests.support.conditions import HANG_S, until
from tests.support.ingress import Ingress, one_more_ingress
from tests.support.sockets import address, opened

BUSY: Final = 0.5  # of the time
WATCHED_S: Final = 2.0
STEADY: Final = 1_000  # tokens of a session: more than its burst
BEGUN: Final = 10  # answers of one connection
BEYOND_BURSTS: Final = 120
READ_BYTES: Final = 8 * 1024  # more is not read


def full_of(element: str, size: int) -> str:
    """A list of nothing but this."""
    return f"[{','.join([element] * (size // (len(element) + 1)))}]"


@pytest.fixture(scope="module")
async def ingress(platform: dict[str, Any], services: Services) -> AsyncIterator[Ingress]:
    default = Settings.model_fields["limit_address_per_s"].default  # the stack of the tests has none
    async with one_more_ingress(services.stack, "busy-ingress", limit_address_per_s=default) as running:
        yield running


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"nope","a":' + full_of("1", 40_000) + "}",
        '{"type":"nope","a":' + full_of("1", READ_BYTES - 50) + "}",
        '{"type":"bet","id":"x","choice":' + full_of("{}", READ_BYTES - 50) + "}",
        "{}",
    ],
    ids=["large", "as large as is read", "objects", "small"],
)
async def test_a_session_sends_nonsense_over_all_its_sockets(
    ingress: Ingress, operator: Operator, text: str
) -> None:
    nasty, other = await operator.open_session(), await operator.open_session()
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(_greeted(ingress, nasty.token)) for _ in range(5)]
        floods = [asyncio.create_task(_flood(socket, text)) for socket in sockets]
        answers: asyncio.Queue[str] = asyncio.Queue()
        floods += [asyncio.create_task(_read_on(socket, answers)) for socket in sockets]
        await _until_steady(answers, STEADY // (1 + len(text) // BYTES_A_TOKEN))
        await until(lambda: _has_time(ingress))
        async with opened(ingress.base_url, other.token) as socket:
            assert (await socket.ask("ping"))["type"] == "pong"
        await _end(floods)


@pytest.mark.parametrize(
    "size", [200, READ_BYTES - 50, 60_000], ids=["small", "as large as is read", "large"]
)
async def test_an_address_without_a_token_has_nonsense_verified(ingress: Ingress, size: int) -> None:
    body = '{"game":"dice","actions":' + full_of('"\\ud83c\\udfb2"', size) + "}"
    async with _asking_on(ingress, "POST /v1/fairness/verify", body=body):
        await until(lambda: _has_time(ingress))


async def test_a_token_is_tried_and_tried(ingress: Ingress) -> None:
    async with _asking_on(ingress, "GET /v1/game/session", token="a.forged.one"):
        await until(lambda: _has_time(ingress))


async def test_a_session_asks_on_whatever_it_is_told(ingress: Ingress, operator: Operator) -> None:
    player = await operator.open_session()
    async with _asking_on(ingress, "GET /v1/game/session", token=player.token, after=BEYOND_BURSTS):
        await until(lambda: _has_time(ingress))


@asynccontextmanager
async def _asking_on(
    ingress: Ingress, call: str, *, token: str | None = None, body: str = "", after: int = BEGUN
) -> AsyncIterator[None]:
    """Asks over twenty connections as fast as they can. One of them has had `after` answers."""
    known = "" if token is None else f"authorization: Bearer {token}\r\n"
    about = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    head = f"{call} HTTP/1.1\r\nhost: x\r\n{known}{about}\r\n"
    begun = asyncio.Event()
    asking = [asyncio.create_task(_ask_on(ingress, (head + body).encode(), begun, after)) for _ in range(20)]
    try:
        async with asyncio.timeout(HANG_S):
            await begun.wait()
        yield
        for task in asking:
            assert not task.done(), task
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def _ask_on(ingress: Ingress, request: bytes, begun: asyncio.Event, after: int) -> None:
    """As fast as one connection can: no client library is between."""
    address = urlsplit(ingress.base_url)
    while True:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                for asked in count():
                    writer.write(request)
                    await writer.drain()
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                    if asked > after:
                        begun.set()
                    (length,) = re.findall(rb"content-length: (\d+)", head)
                    await reader.readexactly(int(length))
        finally:
            writer.close()


async def _has_time(ingress: Ingress) -> bool:
    """Who keeps an ingress busy does so all the time; others on its processor do at times."""
    return await _busy(ingress) < BUSY


async def _busy(ingress: Ingress) -> float:
    """Which part of the time the ingress takes a processor for."""
    process = psutil.Process(ingress.running.pid)
    began, before = time.monotonic(), process.cpu_times()
    await asyncio.sleep(WATCHED_S)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - began)


@asynccontextmanager
async def _greeted(ingress: Ingress, token: str) -> AsyncIterator[ClientConnection]:
    """A socket after its hello. It does not wait for an answer to its close: that stands behind all the
    nonsense."""
    async with connect(address(ingress.base_url), compression=None, close_timeout=0.1) as socket:
        await socket.send(json.dumps({"type": "hello", "token": token}))
        await socket.recv()
        yield socket


async def _flood(socket: ClientConnection, text: str) -> None:
    while True:
        await socket.send(text)
        await asyncio.sleep(0)  # or the answers would not be read, and the socket be cut for that


async def _until_steady(answers: "asyncio.Queue[str]", limit: int) -> None:
    """Returns once the session's burst is spent, or so many messages were read that it never will be."""
    async with asyncio.timeout(HANG_S):
        for _ in range(limit):
            if "too-many-requests" in await answers.get():
                return


async def _read_on(socket: ClientConnection, answers: "asyncio.Queue[str]") -> None:
    while True:
        answers.put_nowait(str(await socket.recv()))


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
