"""Connections that carry the next exchange only when nothing is left of the one before.

Whatever a receiver sends beyond an answer would be read as the answer to the next request, which may be
another player's. So before each request a connection is checked wherever such bytes can be, and dropped when
there are any: in the parser, which has read them already; in the TLS layer; in the kernel. What comes later,
while the next answer is awaited, is the same to HTTP as that answer; but for an empty line, which is skipped.

httpcore has a pool of its own. A call that is cancelled while a connection is handed to it, or between its
answer and the next call, leaves it there as in use, and its place is lost for ever.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import httpcore

# httpcore names the parameter `timeout`; here at least its type says that it is a time.
Timeout_s = float | None

# The layers below may read more than 64 KiB at once, and what is beyond those cannot be seen. After an answer
# of at most half of them, at least one more record of TLS (16 KiB) can. A longer one is a connection's last.
CHECKED_BYTES: Final = 32 * 1024


class Connections:
    """The connections to one receiver, which are made by `backend`. An idle one is kept for `idle_s`.

    A connection belongs to one exchange, from its request to the end of its answer. An exchange that ends in
    any other way, cancelled at whatever moment, has it closed. Callers limit how many are under way: they are
    not counted here.
    """

    def __init__(self, backend: httpcore.AsyncNetworkBackend, *, idle_s: float, tls: ssl.SSLContext) -> None:
        self._backend, self._idle_s, self._tls = backend, idle_s, tls
        tls.set_alpn_protocols(["http/1.1"])
        self._open: set[_Connection | httpcore.AsyncNetworkStream] = set()
        self._idle: list[_Connection] = []  # the one that was used last is the last
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def exchange(self, request: httpcore.Request) -> httpcore.Response:
        """The answer's head. Its stream has to be closed, read or not. Raises what httpcore raises."""
        if request.url.scheme not in (b"http", b"https"):
            raise httpcore.UnsupportedProtocol("a receiver is asked over http or https")
        while True:
            connection = self._kept(request.url.origin) or await self._made(request)
            try:
                answer = await connection.handle_async_request(request)
            except httpcore.ConnectionNotAvailable:
                self._close(connection)  # something has come since it was looked at
            except BaseException:
                self._close(connection)
                raise
            else:
                return httpcore.Response(
                    answer.status,
                    headers=answer.headers,
                    content=_Body(answer, partial(self._take_back, connection)),
                    extensions=answer.extensions,
                )

    async def aclose(self) -> None:
        """Closes them, also those with an exchange under way or a handshake. One that comes later is closed
        before it is used."""
        self._closed = True
        self._idle.clear()
        for opened in [*self._open]:
            self._close(opened)
        if self._closing:
            await asyncio.wait(self._closing)

    def _kept(self, origin: httpcore.Origin) -> "_Connection | None":
        """The one that was used last, of those that are still clean. The oldest is the first to expire."""
        while self._idle and self._idle[0].has_expired():
            self._close(self._idle.pop(0))
        for connection in [*reversed(self._idle)]:
            if not connection.can_handle_request(origin):
                continue
            self._idle.remove(connection)
            if not connection.has_expired():
                return connection
            self._close(connection)
        return None

    async def _made(self, request: httpcore.Request) -> "_Connection":
        origin = request.url.origin
        host = origin.host.decode("ascii")
        limit_s = request.extensions.get("timeout", {}).get("connect")
        stream = _CleanStream(await self._backend.connect_tcp(host, origin.port, limit_s))
        self._open.add(stream)
        try:
            self._refuse_when_closed()
            secured: httpcore.AsyncNetworkStream = stream
            if origin.scheme == b"https":
                secured = await stream.start_tls(self._tls, host, limit_s)
                self._refuse_when_closed()
        except BaseException:
            self._close(stream)
            raise
        connection = _Connection(origin, secured, self._idle_s)
        self._open.remove(stream)
        self._open.add(connection)
        return connection

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise httpcore.ConnectError("the connections to this receiver are closed")

    def _take_back(self, connection: "_Connection") -> None:
        """After an exchange: one that ended as it should has left the connection idle."""
        if connection in self._open and connection.is_idle():
            self._idle.append(connection)
        else:
            self._close(connection)

    def _close(self, opened: "_Connection | httpcore.AsyncNetworkStream") -> None:
        """In a task of its own: whoever leaves may be cancelled once more."""
        self._open.discard(opened)
        closing = asyncio.create_task(opened.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


class _Connection(httpcore.AsyncHTTP11Connection):
    """`has_expired` is asked of it while it is idle."""

    def has_expired(self) -> bool:
        """Also where the parser was given more than the answer. httpcore has it in no other place, and keeps
        it for the next answer."""
        unparsed, _ = self._h11_state.trailing_data
        return bool(unparsed) or super().has_expired()


class _Body:
    """An answer's body. `closed` is called once, whatever becomes of the closing."""

    def __init__(self, answer: httpcore.Response, closed: Callable[[], None]) -> None:
        self._answer = answer
        self._closed: Callable[[], None] | None = closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        closed, self._closed = self._closed, None
        if closed is None:
            return
        try:
            await self._answer.aclose()
        finally:
            closed()


class _CleanStream(httpcore.AsyncNetworkStream):
    """What goes over one connection. An answer begins with what is read first after a write."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._answer_bytes = 0

    async def read(
        self,
        max_bytes: int,
        timeout: Timeout_s = None,  # noqa: ASYNC109 - httpcore's signature
    ) -> bytes:
        data = await self._stream.read(max_bytes, timeout)
        while data and not self._answer_bytes and not (data := data.lstrip(b"\r\n")):
            data = await self._stream.read(max_bytes, timeout)
        self._answer_bytes += len(data)
        return data

    async def write(
        self,
        buffer: bytes,
        timeout: Timeout_s = None,  # noqa: ASYNC109 - httpcore's signature
    ) -> None:
        """Raises httpcore.ConnectionNotAvailable where there is more than `has_expired` has found, or has
        come since: another connection is taken then."""
        if self._answer_bytes and (self._is_readable() or _has_records(self.get_extra_info("ssl_object"))):
            raise httpcore.ConnectionNotAvailable
        self._answer_bytes = 0
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: Timeout_s = None,  # noqa: ASYNC109 - httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        return _CleanStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """httpcore drops an idle connection that `is_readable`: the receiver closed it, or sent more."""
        return self._is_readable() if info == "is_readable" else self._stream.get_extra_info(info)

    def _is_readable(self) -> bool:
        return self._answer_bytes > CHECKED_BYTES or bool(self._stream.get_extra_info("is_readable"))


def _has_records(tls: ssl.SSLObject | None) -> bool:
    """Whether the TLS layer holds more, or has ended. What it holds is taken out by that."""
    if tls is None:
        return False
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        return True
    return True
