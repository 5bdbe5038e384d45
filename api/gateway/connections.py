"""Connections: how many there may be, how long a request may take to arrive, and how large it may be.

uvicorn's parser has no such limits: it waits for the rest of a head or body for ever, and keeps whatever
comes.
"""

import asyncio
import json
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.gateway.problems import CONTENT_TYPE, Problem, document
from api.gateway.rate_limits import NO_ADDRESS, RateLimits
from runtime import metrics

HEAD_LIMIT_BYTES: Final = 16 * 1024
HEADERS_LIMIT: Final = 100
# A body has its own limit, which is answered with 413. A client that goes on sending after that is cut off
# here.
MESSAGE_LIMIT_BYTES: Final = 1024 * 1024
SWEEP_S: Final = 1.0

# Unauthenticated clients must not fill the log: uvicorn would warn of every line that is no HTTP.
_log = logging.getLogger("croupier.connections")
_log.setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """How many connections in all and from one address; how many seconds a request's head and its body may
    take to arrive, and an answer to be read. `tick_s` is how often that is checked."""

    total: int
    per_address: int
    head_s: float
    body_s: float
    tick_s: float = SWEEP_S


class Connections:
    """All connections of one server. Give `protocol` to uvicorn as its `http`, and run `watch` beside it."""

    def __init__(self, limits: ConnectionLimits, rates: RateLimits) -> None:
        self.limits = limits
        self._rates = rates
        self._open: set[Connection] = set()
        self._of_address: Counter[str] = Counter()
        self._count = 0
        self._in_use = metrics.in_use("connections")
        metrics.limit("connections", limits.total)
        self.draining = False

    def drain(self) -> None:
        """From now on each connection ends with its next answer, which says so: its client sends what follows
        on another one, and nothing is lost in one that is being closed."""
        self.draining = True
        for connection in tuple(self._open):
            connection.answer_last()

    def protocol(self, **given: Any) -> "Connection":
        """Of one connection; `given` is what uvicorn gives its own."""
        return Connection(self, **given)

    def take(self, connection: "Connection", scope: Scope) -> str | None:
        """A permit, to be released with `leave`; None when there is none left."""
        peer = scope["client"][0] if scope["client"] else NO_ADDRESS
        # A proxy of ours brings many clients, whose number it limits itself.
        free = not peer or self._rates.is_proxy(peer)
        address = NO_ADDRESS if free else self._rates.address_of(scope)
        if self._count >= self.limits.total:
            metrics.CONNECTIONS_ENDED.labels("full").inc()
            return None
        if not free and self._of_address[address] >= self.limits.per_address:
            metrics.CONNECTIONS_ENDED.labels("address-full").inc()
            return None
        self._count += 1
        self._of_address[address] += 1
        self._open.add(connection)
        self._in_use.set(self._count)
        return address

    def leave(self, connection: "Connection", address: str) -> None:
        self._count -= 1
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]
        self._open.discard(connection)
        self._in_use.set(self._count)

    def hand_over(self, connection: "Connection") -> None:
        """The connection became a socket: it has limits of its own, and keeps its place until it ends."""
        self._open.discard(connection)

    async def watch(self) -> None:
        """Ends what takes too long, until cancelled. One check of all of them is cheaper than a timer for
        each request."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.limits.tick_s)
            now = loop.time()
            for connection in list(self._open):
                connection.check(now)


class Connection(HttpToolsProtocol):
    """uvicorn's connection with limits."""

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.logger = _log
        self._server = connections
        self._limits = connections.limits
        self._address: str | None = None
        # When the part of a request that is arriving must be here; None while none is.
        self._due_at: float | None = None
        self._in_head = True
        self._arrived_bytes = 0
        self._headers_bytes = 0
        self._unread_since: float | None = None
        self._closing_since: float | None = None
        self._over = False
        self._answering: RequestResponseCycle | None = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = self._server.take(self, {"client": self.client, "headers": []})
        if self._address is None:
            self._end_with("overloaded", "Too many connections: use those that you have.")
            self.transport.close()  # it is not watched
            return
        self._due_at = self.loop.time() + self._limits.head_s

    def connection_lost(self, exc: Exception | None) -> None:
        self._report_disconnect()
        self._release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        if self._due_at is None:
            self._due_at = self.loop.time() + self._limits.head_s
        self._arrived_bytes += len(data)
        super().data_received(data)
        if self._over:
            return
        if self._in_head and self._arrived_bytes > HEAD_LIMIT_BYTES:
            # The parser says nothing of a header before it is whole.
            self._refuse_head()
        elif self._arrived_bytes > MESSAGE_LIMIT_BYTES:
            self._cut("too-large")

    def pause_writing(self) -> None:
        self._unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread_since = None
        super().resume_writing()

    # What the parser calls

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._arrived_bytes = self._headers_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._headers_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer is not read, and must not get among the headers that were checked
        self._headers_bytes += len(name) + len(value) + 4
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        # Whole messages in one piece are never counted as they arrive, so the head is measured here too.
        if self._headers_bytes > HEAD_LIMIT_BYTES or len(self.headers) > HEADERS_LIMIT:
            self._refuse_head()
            return
        if self._over:
            return
        self._arrived_bytes = 0
        self._due_at = self.loop.time() + self._limits.body_s
        super().on_headers_complete()
        if self._server.draining:
            self.answer_last()

    def on_body(self, body: bytes) -> None:
        if not self._over:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._over:
            return
        self._due_at = None
        super().on_message_complete()

    # What uvicorn's own connection calls

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def handle_websocket_upgrade(self) -> None:
        self._server.hand_over(self)
        super().handle_websocket_upgrade()
        socket = self.transport.get_protocol()
        lost = socket.connection_lost

        def socket_lost(exc: Exception | None) -> None:
            self._release()
            lost(exc)

        socket.connection_lost = socket_lost  # type: ignore[method-assign]

    def send_400_response(self, msg: str) -> None:
        if not self._over:
            metrics.CONNECTIONS_ENDED.labels("malformed").inc()
            self._end_with("invalid", "This is not HTTP.")

    # Limits

    def check(self, now: float) -> None:
        """Ends the connection when its time is over."""
        if self._over or self.transport.is_closing():
            # What was answered last is not read: without this, it would never be over.
            self._closing_since = self._closing_since or now
            if now - self._closing_since > self._limits.body_s:
                self.transport.abort()
        elif self._unread_since is not None:
            if now - self._unread_since > self._limits.body_s:
                self._cut("unread")
        elif self.flow.read_paused:
            # The server does not read now. The client's time restarts when it does.
            if self._due_at is not None:
                self._due_at = now + self._limits.body_s
        elif self._due_at is not None and now > self._due_at:
            self._cut("head" if self._in_head else "body")

    def answer_last(self) -> None:
        """The answer that is under way, unless it has begun, is this connection's last."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def _refuse_head(self) -> None:
        metrics.CONNECTIONS_ENDED.labels("too-large").inc()
        self._end_with(
            "head-too-large", f"A head has at most {HEAD_LIMIT_BYTES} bytes and {HEADERS_LIMIT} headers."
        )

    def _end_with(self, code: str, detail: str) -> None:
        """Answers with the problem, unless an answer is on its way, and closes as soon as the client does."""
        self._over, self._due_at = True, None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_response(Problem(code, detail)))
            end_of_answers(self.transport)
        else:
            self.transport.close()

    def _cut(self, why: str) -> None:
        self._over = True
        metrics.CONNECTIONS_ENDED.labels(why).inc()
        self._report_disconnect()
        self.transport.abort()

    def _report_disconnect(self) -> None:
        """Reports the disconnect to the request that is being answered, which would write on, and fail.
        uvicorn reports it only to the newest request, which is another one when a client sent several."""
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def _release(self) -> None:
        if self._address is not None:
            self._server.leave(self, self._address)
            self._address = None


def end_of_answers(transport: asyncio.Transport) -> None:
    """Sends no more, but lets the client go on: if the connection were closed while the client still sends, a
    reset would discard the last answer. The caller ends the connection after a while."""
    if transport.can_write_eof():
        transport.write_eof()
    else:  # TLS cannot be closed by halves
        transport.close()


def _response(problem: Problem) -> bytes:
    """A whole answer, for a connection that has no request."""
    status, headers, body = document(problem, "-")
    metrics.of_problem(problem.code, "http").inc()
    content = json.dumps(body, separators=(",", ":")).encode()
    headers |= {"Content-Type": CONTENT_TYPE, "Content-Length": str(len(content)), "Connection": "close"}
    head = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} \r\n{head}\r\n".encode() + content
