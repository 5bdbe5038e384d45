"""Connections that carry the next exchange only when nothing is left of the one before.

Whatever a receiver sends beyond an answer would be read as the answer to the next request, which may be
another player's. So before each request a connection is checked wherever such bytes can be, and dropped when
there are any: in the parser, which has read them already; in the TLS layer; in the kernel. What comes later,
while the next answer is awaited, is the same to HTTP as that answer; but for an empty line, which is skipped.
"""

import ssl
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import httpcore

# httpcore names the parameter `timeout`; here at least its type says that it is a time.
Timeout_s = float | None

# The layers below may read more than 64 KiB at once, and what is beyond those cannot be seen. After an answer
# of at most half of them, at least one more record of TLS (16 KiB) can. A longer one is a connection's last.
CHECKED_BYTES: Final = 32 * 1024


class CleanPool(httpcore.AsyncConnectionPool):
    """The connections to one receiver, which are made by `backend`. An idle one is kept for `idle_s`."""

    def __init__(
        self, backend: httpcore.AsyncNetworkBackend, *, connections: int, idle_s: float, tls: ssl.SSLContext
    ) -> None:
        super().__init__(ssl_context=tls, max_connections=connections)
        self._connection = partial(
            _CleanConnection,
            ssl_context=tls,
            keepalive_expiry=idle_s,
            network_backend=_CleanBackend(backend),
        )

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        return self._connection(origin)


class _CleanConnection(httpcore.AsyncHTTPConnection):
    """The pool asks `has_expired` of its connections before each request and after each answer."""

    def has_expired(self) -> bool:
        return super().has_expired() or self._has_unparsed()

    def _has_unparsed(self) -> bool:
        """Whether the parser was given more than the answer. httpcore has it in no other place, and keeps it
        for the next answer."""
        line = self._connection
        if line is None or not line.is_idle():
            return False
        assert isinstance(line, httpcore.AsyncHTTP11Connection), "nothing else is negotiated"
        unparsed, _ = line._h11_state.trailing_data
        return bool(unparsed)


class _CleanBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: Timeout_s = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _CleanStream(
            await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        )


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
        """Raises httpcore.ConnectionNotAvailable where there is more than the pool's check has found, or has
        come since: the pool then takes another connection."""
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
