"""A small HTTP/1.1 server whose connections can also break: fall silent, or be reset in the middle of a body.

Servers that are made to work do not let one do that, which is why this is here. It knows no more of HTTP than
Croupier needs: requests with a bounded body, kept-alive connections, one answer after the other.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

import httptools

log = logging.getLogger("operator_wallet")

BODY_LIMIT: Final = 64 * 1024
HEAD_LIMIT: Final = 16 * 1024
PIPELINE_LIMIT: Final = 8
# A whole request has to arrive within this time of the answer before, or of the connection's start.
PATIENCE_S: Final = 60.0
# A reset overtakes written bytes that have not reached the client yet, so it waits for them.
BEFORE_RESET_S: Final = 0.05
# What a refused client still sends is read and thrown away for this time: closing at once would send a reset,
# which may overtake the refusal.
LINGER_S: Final = 1.0
# SO_LINGER with a time of 0: closing sends a reset.
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Request:
    """`target` is path and query as they came; header names are in lower case."""

    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = True

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Delivery(Enum):
    """How an answer gets to the client."""

    WHOLE = auto()
    TWICE = auto()
    WITH_EMPTY_LINE = auto()
    RESET_MID_BODY = auto()
    NEVER = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    delivery: Delivery = Delivery.WHOLE


Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """Listens, and stops in an orderly way: requests under way are answered first."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._connections: set[Connection] = set()
        self._listening: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> str:
        """Returns the URL; port 0 takes a free one. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            lambda: Connection(self._handle, self._connections), host, port, backlog=1024
        )
        found = self._listening.sockets[0].getsockname()
        shown = f"[{found[0]}]" if ":" in found[0] else found[0]
        return f"http://{shown}:{found[1]}"

    async def stop(self, *, patience_s: float) -> None:
        """Takes no new connection, waits at most `patience_s` for the answers under way, ends the rest."""
        if self._listening is not None:
            self._listening.close()
        answering = [task for connection in list(self._connections) if (task := connection.finish())]
        if answering:
            await asyncio.wait(answering, timeout=patience_s)
        for connection in list(self._connections):
            connection.abort()
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


class Connection(asyncio.Protocol):
    """One client: its requests are answered in the order in which they came."""

    def __init__(self, handle: Handler, connections: "set[Connection]") -> None:
        self._handle = handle
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._received = 0
        self._reading_head = True
        self._waiting: list[Request] = []
        self._answering: asyncio.Task[None] | None = None
        self._silent = False
        self._finishing = False
        self._broken: HTTPStatus | None = None

    # From the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)
        self._timeout = self._start_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timeout.cancel()
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._silent or self._broken is not None:
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._break(HTTPStatus.BAD_REQUEST)
        except httptools.HttpParserError:
            self._break(self._broken or HTTPStatus.BAD_REQUEST)
        if self._reading_head and self._received > HEAD_LIMIT:
            self._break(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    # From the parser

    def on_message_begin(self) -> None:
        self._request = Request()
        self._reading_head = True

    def on_url(self, url: bytes) -> None:
        self._request.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._reading_head = False
        self._request.method = self._parser.get_method().decode("latin-1")
        self._request.keep_alive = self._parser.should_keep_alive()
        if "100-continue" in self._request.headers.get("expect", "").lower():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if len(self._request.body) + len(body) > BODY_LIMIT:
            self._broken = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            raise ValueError("the body is too large")
        self._request.body += body

    def on_message_complete(self) -> None:
        self._received = 0
        self._reading_head = True
        self._waiting.append(self._request)
        if len(self._waiting) > PIPELINE_LIMIT:
            self.abort()
        elif self._answering is None:
            self._timeout.cancel()
            self._answering = asyncio.create_task(self._answer_all())

    # Answering

    async def _answer_all(self) -> None:
        """The client's going away ends nothing that has begun: the call was made."""
        while self._waiting and not self._silent:
            request = self._waiting.pop(0)
            await self._deliver(await self._answer(request), request)
        self._answering = None
        if self._broken is not None:
            self._refuse(self._broken)
        elif self._finishing:
            self._transport.close()
        elif not (self._silent or self._transport.is_closing()):
            self._timeout = self._start_timeout()

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._handle(request)
        except Exception:
            log.exception("a request could not be answered")
            return Response(status=500, body=b'{"code": "internal"}')

    async def _deliver(self, response: Response, request: Request) -> None:
        if self._transport.is_closing():
            return
        keep_alive = request.keep_alive and not self._finishing
        match response.delivery:
            case Delivery.NEVER:
                self._silent = True
            case Delivery.RESET_MID_BODY:
                half = response.body[: len(response.body) // 2]
                self._transport.write(_head(response, keep_alive=keep_alive) + half)
                await asyncio.sleep(BEFORE_RESET_S)
                self._reset()
            case Delivery.WHOLE | Delivery.TWICE | Delivery.WITH_EMPTY_LINE:
                whole = _head(response, keep_alive=keep_alive) + response.body
                beyond = {Delivery.TWICE: whole, Delivery.WITH_EMPTY_LINE: b"\r\n"}
                self._transport.write(whole + beyond.get(response.delivery, b""))
                if not keep_alive:
                    self._transport.close()

    # Ending

    def finish(self) -> asyncio.Task[None] | None:
        """Ends the connection after the request under way, whose task is returned; at once when there is
        none."""
        self._finishing = True
        if self._answering is None:
            self._transport.close()
        return self._answering

    def abort(self) -> None:
        self._transport.abort()

    def _start_timeout(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(PATIENCE_S, self._transport.close)

    def _break(self, status: HTTPStatus) -> None:
        """Nothing after this can be understood. Earlier requests are answered first."""
        self._broken = status
        if self._answering is None:
            self._refuse(status)

    def _refuse(self, status: HTTPStatus) -> None:
        body = b'{"code": "invalid"}'
        self._timeout.cancel()
        if self._transport.is_closing():
            return
        self._transport.write(_head(Response(status=status, body=body), keep_alive=False) + body)
        self._transport.write_eof()
        self._timeout = asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)

    def _reset(self) -> None:
        wire: socket.socket | None = self._transport.get_extra_info("socket")
        if wire is not None:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._transport.abort()


def _head(response: Response, *, keep_alive: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        f"content-length: {len(response.body)}",
        f"connection: {'keep-alive' if keep_alive else 'close'}",
        *(f"{name}: {value}" for name, value in response.headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
