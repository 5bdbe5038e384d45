"""Clients that drip, stall, flood or never speak: they are cut off, while the honest ones are served."""

import asyncio
import contextlib
import json
import resource
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import psutil
import pytest
import uvicorn
import websockets
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from api.admission import Admission
from api.connections import HEAD_LIMIT_BYTES, HEADERS_LIMIT, ConnectionLimits, Connections
from api.door import Door
from api.limits import Limits
from tests.conftest import Services
from tests.e2e.house import Player
from tests.support.conditions import until

HEAD_S: Final = 0.6
BODY_S: Final = 1.2
DRIPPERS: Final = 200
IDLE: Final = 1_000
GONE: Final = (ConnectionError, RuntimeError)  # uvloop's word for a transport that was closed
IDLE_MIB: Final = 150
POST: Final = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
GET: Final = b"GET /echo HTTP/1.1\r\nhost: x\r\n\r\n"

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Ingress:
    """Our connections and our door before a small app, in this process, with short limits."""

    port: int
    connections: Connections

    async def connect(self) -> Wire:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, *parts: bytes, pause_s: float = 0.0) -> bytes:
        """What is answered, until the connection is closed by the ingress."""
        reader, writer = await self.connect()
        try:
            with contextlib.suppress(*GONE):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(pause_s)
            return await _rest(reader)
        finally:
            writer.close()

    async def is_served(self, path: str = "/echo") -> bool:
        async with httpx.AsyncClient() as http:
            return (await http.get(f"http://127.0.0.1:{self.port}{path}")).status_code == 200


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Everything until the end; a reset is an end too."""
    received = b""
    with contextlib.suppress(*GONE):
        async with asyncio.timeout(10):
            while part := await reader.read(65_536):
                received += part
    return received


async def small_app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    if scope["path"] == "/large":
        await PlainTextResponse(b"x" * 4_000_000)(scope, receive, send)
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(HEAD_S + BODY_S + 0.5)
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    names = sorted({name.decode() for name, _ in scope["headers"]})
    await PlainTextResponse(json.dumps([len(body), names]))(scope, receive, send)


@contextlib.asynccontextmanager
async def opened(
    *, total: int = 1_000, per_address: int = 1_000, head_s: float = HEAD_S
) -> AsyncIterator[Ingress]:
    connections = Connections(
        ConnectionLimits(total=total, per_address=per_address, head_s=head_s, body_s=BODY_S, tick_s=0.1),
        Limits(),
    )
    door = Door(small_app, Admission(max_open_requests=500, max_open_bets=100, max_running_bets=24))
    config = uvicorn.Config(
        door, loop="none", http=connections.protocol, lifespan="off",  # type: ignore[arg-type]
        log_config=None, access_log=False, host="127.0.0.1", port=0, proxy_headers=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    serving, watching = asyncio.create_task(server.serve()), asyncio.create_task(connections.watch())
    try:
        await until(lambda: _value(server.started))
        yield Ingress(server.servers[0].sockets[0].getsockname()[1], connections)
    finally:
        server.should_exit = True
        await serving
        watching.cancel()


async def _value(value: bool) -> bool:
    return value


@pytest.fixture
async def ingress() -> AsyncIterator[Ingress]:
    async with opened() as made:
        yield made
        await until(lambda: _value(made.connections._count == 0), within_s=5)


@pytest.mark.parametrize(
    "head",
    [b"", b"\r\n", b"GET /echo HTTP/1.1\r\n", b"GET /echo HTTP/1.1\r\nhost: x\r\nx-slow: "],
    ids=["nothing", "an empty line", "a line", "half a header"],
)
async def test_a_head_that_does_not_come_in_time_ends_the_connection(ingress: Ingress, head: bytes) -> None:
    began = time.monotonic()
    assert await ingress.say(head) == b""
    assert HEAD_S <= time.monotonic() - began < HEAD_S + 2


async def test_a_head_that_drips_gets_no_more_time(ingress: Ingress) -> None:
    began = time.monotonic()
    assert await ingress.say(*([b"GET /echo HTTP/1.1\r\nx: "] + [b"a"] * 40), pause_s=0.05) == b""
    assert time.monotonic() - began < HEAD_S + 2


async def test_empty_lines_between_requests_keep_no_connection(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    writer.write(GET)
    assert b"200 OK" in await reader.read(1_000)
    with contextlib.suppress(*GONE):
        for _ in range(40):
            writer.write(b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)
    assert await _rest(reader) == b""
    writer.close()


async def test_a_body_that_does_not_come_in_time_ends_the_connection(ingress: Ingress) -> None:
    began = time.monotonic()
    assert await ingress.say(POST % 1_000, b"x") == b""
    assert BODY_S <= time.monotonic() - began < BODY_S + 2


async def test_a_body_that_comes_slowly_but_in_time_is_served(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    writer.write(POST % 4)
    for _ in range(4):
        writer.write(b"x")
        await asyncio.sleep(BODY_S / 8)
    assert b'[4, ["content-length", "host"]]' in await reader.read(1_000)
    writer.close()


async def test_an_answer_may_take_longer_than_a_request_may(ingress: Ingress) -> None:
    assert await ingress.is_served("/slow")


async def test_an_idle_connection_is_kept_between_requests(ingress: Ingress) -> None:
    async with httpx.AsyncClient() as http:
        for _ in range(2):
            assert (await http.get(f"http://127.0.0.1:{ingress.port}/echo")).status_code == 200
            await asyncio.sleep(HEAD_S + 0.5)
        assert ingress.connections._count == 1, "it was the same connection"


async def test_an_answer_that_nobody_reads_ends_the_connection(
    ingress: Ingress, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await ingress.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(GET.replace(b"/echo", b"/large") * 3)
    await until(lambda: _value(ingress.connections._count == 1))
    await until(lambda: _value(ingress.connections._count == 0), within_s=BODY_S + 5)
    writer.close()
    del reader
    assert not caplog.records, "no stranger fills the log with it"


async def test_a_head_that_is_too_large_is_refused(ingress: Ingress) -> None:
    large = b"a" * HEAD_LIMIT_BYTES
    many = b"".join(b"x-%d: y\r\n" % number for number in range(HEADERS_LIMIT + 1))
    for parts in (
        (GET.replace(b"/echo", b"/" + large),),
        (b"GET /echo HTTP/1.1\r\nx: " + large + b"\r\n\r\n",),
        (b"GET /echo HTTP/1.1\r\nx: ", large, large),
        (b"GET /echo HTTP/1.1\r\n" + many + b"\r\n",),
    ):
        head, _, body = (await ingress.say(*parts, pause_s=0.05)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431 "), parts[0][:60]
        assert b"content-type: application/problem+json" in head
        told = json.loads(body)
        assert (told["code"], told["status"]) == ("head-too-large", 431)


async def test_a_head_of_almost_the_limit_is_served(ingress: Ingress) -> None:
    near = b"a" * (HEAD_LIMIT_BYTES - 100)
    reader, writer = await ingress.connect()
    writer.write(b"GET /echo HTTP/1.1\r\nx: " + near + b"\r\n\r\n")
    assert b"200 OK" in await reader.read(1_000)
    writer.close()


async def test_what_is_no_http_is_told_so(ingress: Ingress) -> None:
    answer = await ingress.say(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 422 ")
    assert b'"code":"invalid"' in answer


async def test_who_sends_on_after_a_refused_body_is_cut_off(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    writer.write(POST % 500_000_000)
    assert b"413" in (await reader.read(1_000)).split(b"\r\n", 1)[0]
    sent = 0
    with contextlib.suppress(*GONE):
        while sent < 100_000_000:
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000
    assert sent < 20_000_000, "little more than what is on the way between two sockets"
    assert await ingress.is_served()
    writer.close()


async def test_trailers_are_no_headers(ingress: Ingress) -> None:
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    reader, writer = await ingress.connect()
    writer.write(head + b"1\r\nx\r\n0\r\nauthorization: Bearer x\r\n\r\n")
    assert b'[1, ["host", "transfer-encoding"]]' in await reader.read(1_000)
    writer.close()


async def test_drippers_are_cut_off_and_an_honest_client_is_served_meanwhile() -> None:
    async with opened(head_s=2.0) as ingress:

        async def drip() -> bytes:
            return await ingress.say(*([b"POST /echo HTTP/1.1\r\nx: "] + [b"a"] * 30), pause_s=0.2)

        dripping = [asyncio.create_task(drip()) for _ in range(DRIPPERS)]
        await until(lambda: _value(ingress.connections._count == DRIPPERS))
        served = 0
        while ingress.connections._count:
            assert await ingress.is_served()
            served += 1
            await asyncio.sleep(0.1)
        assert served > 1
        assert await asyncio.gather(*dripping) == [b""] * DRIPPERS


async def test_a_socket_keeps_its_place_and_is_not_hurried() -> None:
    async with opened(per_address=1) as ingress:
        async with websockets.connect(f"ws://127.0.0.1:{ingress.port}/ws", proxy=None) as socket:
            await asyncio.sleep(max(HEAD_S, BODY_S) + 0.5)
            await socket.send("still here")
            assert await socket.recv() == "still here"
            assert (await ingress.say()).startswith(b"HTTP/1.1 503 "), "it has the address's only place"
        await until(lambda: _value(ingress.connections._count == 0))
        assert await ingress.is_served()


async def test_beyond_the_number_of_connections_one_more_is_told_and_closed() -> None:
    async with opened(total=3) as ingress:
        held = [await ingress.connect() for _ in range(3)]
        await until(lambda: _value(ingress.connections._count == 3))
        answer = await ingress.say()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer
        for _, writer in held:
            writer.close()
        await until(lambda: _value(ingress.connections._count == 0))
        assert await ingress.is_served()


async def test_an_address_has_a_number_of_connections_of_its_own() -> None:
    async with opened(per_address=2) as ingress:
        held = [await ingress.connect() for _ in range(2)]
        await until(lambda: _value(ingress.connections._count == 2))
        assert (await ingress.say()).startswith(b"HTTP/1.1 503 ")
        other = await asyncio.open_connection("127.0.0.1", ingress.port, local_addr=("127.0.0.2", 0))
        other[1].write(GET)
        assert b"200 OK" in await other[0].read(1_000)
        for _, writer in (*held, other):
            writer.close()
        await until(lambda: _value(not ingress.connections._of_address))


async def test_a_thousand_idle_connections_cost_little_and_bets_are_answered(
    services: Services, platform: dict[str, Any], player: Player
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, IDLE + 500), hard), hard))
    url = httpx.URL(platform["base_url"])
    ingress = psutil.Process(services.stack.pid("ingress"))
    await player.played()
    before = ingress.memory_info().rss
    idle: list[Wire] = []
    try:
        for _ in range(IDLE // 50):
            made = await asyncio.gather(*(asyncio.open_connection(url.host, url.port) for _ in range(50)))
            for _, writer in made:
                writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            idle += made
            for reader, _ in made:
                assert b"200 OK" in await reader.read(1_000)
        for _ in range(5):
            began = time.monotonic()
            await player.played()
            assert time.monotonic() - began < 2
        grown_mib = (ingress.memory_info().rss - before) / 2**20
        print(f"{IDLE} idle connections: {grown_mib:.0f} MiB")  # noqa: T201
        assert grown_mib < IDLE_MIB
        assert not any(reader.at_eof() for reader, _ in idle), "they are open all the while"
    finally:
        for _, writer in idle:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in idle), return_exceptions=True)
