"""httpx over guarded connections to one receiver, and how much of an answer is read from them."""

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpcore
import httpx

from outbound.addresses import GuardedBackend
from outbound.connections import Connections

# Below the 5 s after which many servers drop an idle connection: a call on one that is just being dropped has
# an unknown outcome, and for a bet with an unknown outcome the round is given up.
IDLE_S: Final = 4
# Around every transport: traces, where they are on.
Around = Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]
AROUND: Final[list[Around]] = []


class BodyRefused(Exception):
    """The body was not read to its end. `code` is what the answer says."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


def wrapped(transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    """The transport with all that is around it."""
    for around in AROUND:
        transport = around(transport)
    return transport


class GuardedTransport(httpx.AsyncBaseTransport):
    """httpx over connections that are guarded; httpx's own transport has no place for a guard."""

    def __init__(self, backend: GuardedBackend, *, tls: ssl.SSLContext) -> None:
        self._backend = backend
        self._connections = Connections(backend, idle_s=IDLE_S, tls=tls)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises what httpcore raises."""
        answer = await self._connections.exchange(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions
        )

    async def aclose(self) -> None:
        await self._connections.aclose()
        self._backend.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


async def read_whole(answer: httpx.Response, *, limit: int) -> bytes:
    """The body as it came, never unpacked. Raises BodyRefused when it is packed or longer than `limit` bytes;
    the rest is never read, because the connection is dropped with the answer."""
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise BodyRefused("encoded", "the body is packed, though it was asked for as it is")
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > limit:
            raise BodyRefused("too-large", f"the body is longer than {limit} bytes")
    return bytes(body)


async def read_beginning(answer: httpx.Response, into: bytearray, *, limit: int) -> None:
    """Adds what comes first of the body, as it came, until there are `limit` bytes or a few more. What has
    come stays in `into` when the rest does not come."""
    async for part in answer.aiter_raw():
        into += part
        if len(into) >= limit:
            return
