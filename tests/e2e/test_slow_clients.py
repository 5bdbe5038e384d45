"""Clients that drip, stall, flood or never speak: they are cut off, while the honest ones are served."""

import asyncio
import contextlib
import json
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx
import psutil
import pytest
import uvicorn
import websockets
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.gateway.admission import Admission
from api.gateway.connections import HEAD_LIMIT_BYTES, HEADERS_LIMIT, Connection, ConnectionLimits, Connections
from api.gateway.middleware import EdgeMiddleware
from api.gateway.rate_limits import RateLimits
from tests.conftest import Services
from tests.e2e.parties import Player
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client

HEAD_S: Final = 10.0
BODY_S: Final = 20.0
STEPS: Final = 8
CLOCKS_DIFFER_S: Final = 0.05  # of event loops, which round
DRIPPERS: Final = 200
IDLE: Final = 1_000
GONE: Final = (ConnectionError, RuntimeError)  # uvloop's word for a transport that was closed
IDLE_MIB: Final = 150
POST: Final = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
GET: Final = b"GET /echo HTTP/1.1\r\nhost: x\r\n\r\n"

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Clock:
    """The event loop as our connections know it, with a time that passes when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._loop = asyncio.get_running_loop()

    def time(self) -> float:
        return self.now_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


@dataclass(slots=True)
class Ingress:
    """Our connections and middleware before a small app, in this process, where limits are reached by the
    clock of the test. `slow_answers` holds back what is asked of /slow."""

    connections: Connections
    clock: Clock
    slow_answers: asyncio.Event
    port: int = 0
    heard_bytes: int = 0
    slow_asked: int = 0

    async def connect(self) -> Wire:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, *parts: bytes) -> bytes:
        """What is answered, until the connection is closed by the ingress."""
        reader, writer = await self.connect()
        rest = asyncio.create_task(_rest(reader))
        for part in parts:
            if not rest.done():
                await self.hear(writer, part, unless=rest)
        try:
            return await rest
        finally:
            writer.close()

    async def hear(
        self, writer: asyncio.StreamWriter, part: bytes, *, unless: asyncio.Task[bytes] | None = None
    ) -> None:
        """Sends the part, and returns when the ingress has it, `unless` it had its answer before."""
        expected = self.heard_bytes + len(part)
        writer.write(part)
        await until(lambda: _value(self.heard_bytes >= expected or (unless is not None and unless.done())))

    def passes(self, seconds: float) -> None:
        """So much time, and then a look at all connections, as `Connections.watch` takes one."""
        self.clock.now_s += seconds
        for connection in list(self.connections._open):
            connection.check(self.clock.now_s)

    @property
    def open(self) -> int:
        return sum(not connection.transport.is_closing() for connection in self.connections._open)

    async def is_served(self, path: str = "/echo") -> bool:
        reader, writer = await self.connect()
        writer.write(b"GET %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % path.encode())
        answer = await _rest(reader)
        writer.close()
        return answer.startswith(b"HTTP/1.1 200 ")

    def protocol(self, **given: Any) -> Connection:
        """Of a connection that knows the clock, and whose bytes are counted."""
        made = self.connections.protocol(**{**given, "_loop": self.clock})
        receive = made.data_received

        def data_received(data: bytes) -> None:
            receive(data)
            self.heard_bytes += len(data)

        made.data_received = data_received  # type: ignore[method-assign]
        return made

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/slow":
            self.slow_asked += 1
            await self.slow_answers.wait()
        await small_app(scope, receive, send)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Everything until the end; a reset is an end too."""
    received = b""
    with contextlib.suppress(*GONE):
        async with asyncio.timeout(HANG_S):
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
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    names = sorted({name.decode() for name, _ in scope["headers"]})
    await PlainTextResponse(json.dumps([len(body), names]))(scope, receive, send)


@contextlib.asynccontextmanager
async def opened(*, total: int = 1_000, per_address: int = 1_000) -> AsyncIterator[Ingress]:
    limits = ConnectionLimits(total=total, per_address=per_address, head_s=HEAD_S, body_s=BODY_S)
    ingress = Ingress(Connections(limits, RateLimits()), Clock(), asyncio.Event())
    async with _serving(ingress.app, ingress.protocol) as port:
        ingress.port = port
        yield ingress


@contextlib.asynccontextmanager
async def _serving(app: ASGIApp, protocol: Callable[..., Connection]) -> AsyncIterator[int]:
    middleware = EdgeMiddleware(app, Admission(max_open_requests=500, max_open_bets=100, max_running_bets=24))
    config = uvicorn.Config(
        middleware, loop="none", http=protocol, lifespan="off",  # type: ignore[arg-type]
        log_config=None, access_log=False, host="127.0.0.1", port=0, proxy_headers=False,
        timeout_graceful_shutdown=1, timeout_keep_alive=600,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: _value(server.started))
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def _value(value: bool) -> bool:
    return value


@pytest.fixture
async def ingress() -> AsyncIterator[Ingress]:
    async with opened() as made:
        yield made
        await until(lambda: _value(made.connections._count == 0))


async def test_the_watch_ends_what_is_late() -> None:
    """By the clock of the machine. All other tests here look themselves, by a clock of their own."""
    head_s = 0.2
    limits = ConnectionLimits(total=9, per_address=9, head_s=head_s, body_s=BODY_S, tick_s=0.05)
    connections = Connections(limits, RateLimits())
    watching = asyncio.create_task(connections.watch())
    async with _serving(small_app, connections.protocol) as port:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await _rest(reader) == b""
        assert time.monotonic() - began >= head_s - CLOCKS_DIFFER_S
        writer.close()
    watching.cancel()


@pytest.mark.parametrize(
    "head",
    [b"", b"\r\n", b"GET /echo HTTP/1.1\r\n", b"GET /echo HTTP/1.1\r\nhost: x\r\nx-slow: "],
    ids=["nothing", "an empty line", "a line", "half a header"],
)
async def test_a_head_that_does_not_come_in_time_ends_the_connection(ingress: Ingress, head: bytes) -> None:
    reader, writer = await ingress.connect()
    await until(lambda: _value(ingress.open == 1))
    await ingress.hear(writer, head)
    ingress.passes(HEAD_S)
    assert ingress.open == 1
    ingress.passes(1)
    assert await _rest(reader) == b""
    writer.close()


async def test_a_head_that_drips_gets_no_more_time(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    await ingress.hear(writer, b"GET /echo HTTP/1.1\r\nx: ")
    assert await _drips(ingress, writer, b"a") == STEPS
    assert await _rest(reader) == b""
    writer.close()


async def test_empty_lines_between_requests_keep_no_connection(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    writer.write(GET)
    assert b"200 OK" in await reader.read(1_000)
    assert await _drips(ingress, writer, b"\r\n") == STEPS
    assert await _rest(reader) == b""
    writer.close()


async def _drips(ingress: Ingress, writer: asyncio.StreamWriter, drop: bytes) -> int:
    """How many drops the only connection lives for, when STEPS of them are more than a head's time."""
    drops = 0
    while ingress.open and drops < 3 * STEPS:
        await ingress.hear(writer, drop)
        ingress.passes(1.01 * HEAD_S / STEPS)
        drops += 1
    return drops


async def test_a_body_that_does_not_come_in_time_ends_the_connection(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    await ingress.hear(writer, POST % 1_000 + b"x")
    ingress.passes(BODY_S)
    assert ingress.open == 1
    ingress.passes(1)
    assert await _rest(reader) == b""
    writer.close()


async def test_a_body_that_comes_slowly_but_in_time_is_served(ingress: Ingress) -> None:
    reader, writer = await ingress.connect()
    await ingress.hear(writer, POST % 4)
    for _ in range(4):
        ingress.passes(BODY_S / 5)
        await ingress.hear(writer, b"x")
    assert b'[4, ["content-length", "host"]]' in await reader.read(1_000)
    writer.close()


async def test_an_answer_may_take_longer_than_a_request_may(ingress: Ingress) -> None:
    asking = asyncio.create_task(ingress.is_served("/slow"))
    await until(lambda: _value(ingress.slow_asked == 1))
    ingress.passes(HEAD_S + BODY_S + 1)
    ingress.slow_answers.set()
    assert await asking


async def test_an_idle_connection_is_kept_between_requests(ingress: Ingress) -> None:
    limits = httpx.Limits(keepalive_expiry=None)
    async with http_client(limits=limits, timeout=HANG_S) as http:
        for _ in range(2):
            assert (await http.get(f"http://127.0.0.1:{ingress.port}/echo")).status_code == 200
            ingress.passes(HEAD_S + BODY_S + 1)
        assert (ingress.open, ingress.connections._count) == (1, 1), "it was the same connection"


async def test_an_answer_that_nobody_reads_ends_the_connection(
    ingress: Ingress, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await ingress.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(GET.replace(b"/echo", b"/large") * 3)
    await until(lambda: _value(any(c._unread_since is not None for c in ingress.connections._open)))
    ingress.passes(BODY_S)
    assert ingress.open == 1
    ingress.passes(1)
    await until(lambda: _value(ingress.connections._count == 0))
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
        head, _, body = (await ingress.say(*parts)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431 "), parts[0][:60]
        assert b"content-type: application/problem+json" in head
        told = json.loads(body)
        assert (told["code"], told["status"]) == ("head-too-large", 431)


async def test_who_goes_on_sending_its_head_can_read_why_it_is_refused(ingress: Ingress) -> None:
    """A connection that is closed while its client still sends is reset, and the refusal is lost."""
    client = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", ingress.port))
    with client:
        client.settimeout(HANG_S)
        client.sendall(b"GET /echo HTTP/1.1\r\nx: ")
        await until(lambda: _value(ingress.heard_bytes > 0))
        client.sendall(b"a" * (HEAD_LIMIT_BYTES + 1))
        await asyncio.to_thread(client.recv, 1, socket.MSG_PEEK)
        for _ in range(20):
            client.sendall(b"a" * 1_000)
            await asyncio.sleep(0.01)
        assert (await asyncio.to_thread(client.recv, 1_000)).startswith(b"HTTP/1.1 431 ")
        assert ingress.open == 1, "it waits for its client"
        ingress.passes(1)
        ingress.passes(BODY_S + 1)
        await until(lambda: _value(ingress.connections._count == 0))


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


async def test_drippers_are_cut_off_and_an_honest_client_is_served_meanwhile(ingress: Ingress) -> None:
    dripping = [await ingress.connect() for _ in range(DRIPPERS)]
    for _, writer in dripping:
        writer.write(b"POST /echo HTTP/1.1\r\nx: ")
    await until(lambda: _value(ingress.connections._count == DRIPPERS))
    cut = [asyncio.create_task(_rest(reader)) for reader, _ in dripping]
    served = 0
    while not all(rest.done() for rest in cut):
        assert served < 3 * STEPS, "they live on"
        assert await ingress.is_served()
        served += 1
        for _, writer in dripping:
            with contextlib.suppress(*GONE):
                writer.write(b"a")
        ingress.passes(1.01 * HEAD_S / STEPS)
    assert served > 1
    assert [await rest for rest in cut] == [b""] * DRIPPERS
    for _, writer in dripping:
        writer.close()


async def test_a_socket_keeps_its_place_and_is_not_hurried() -> None:
    async with opened(per_address=1) as ingress:
        async with websockets.connect(f"ws://127.0.0.1:{ingress.port}/ws", proxy=None) as socket:
            ingress.passes(HEAD_S + BODY_S + 1)
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
            await player.played()
        grown_mib = (ingress.memory_info().rss - before) / 2**20
        print(f"{IDLE} idle connections: {grown_mib:.0f} MiB")  # noqa: T201
        assert grown_mib < IDLE_MIB
        assert not any(reader.at_eof() for reader, _ in idle), "they are open all the while"
    finally:
        for _, writer in idle:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in idle), return_exceptions=True)
