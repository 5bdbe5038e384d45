"""One call on a connection of its own, which is listened to for what follows the answer."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import h11
import httpx

from outbound.client import tls_context

# For what a wallet sends beyond its answer, late.
LISTEN_S: Final = 0.1
READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Heard:
    """`body` is as it came, cut a little after the limit. `beyond` is how many bytes followed the answer."""

    status: int
    encoding: str
    body: bytes
    beyond: int = 0


async def listen(url: str, headers: Mapping[str, str], content: bytes, *, limit: int) -> Heard:
    """Raises OSError, and h11.RemoteProtocolError for what is not HTTP. A body is read until it has `limit`
    bytes or a few more."""
    target = httpx.URL(url)
    encrypted = target.scheme == "https"
    reader, writer = await asyncio.open_connection(
        target.host,
        target.port or (443 if encrypted else 80),
        ssl=tls_context() if encrypted else None,
    )
    try:
        line = h11.Connection(h11.CLIENT)
        writer.write(_request(line, target, headers, content))
        return await _heard(line, reader, limit)
    finally:
        writer.close()


def _request(line: h11.Connection, target: httpx.URL, headers: Mapping[str, str], content: bytes) -> bytes:
    fields = {"host": target.netloc.decode(), "content-length": str(len(content)), **headers}
    request = h11.Request(method="POST", target=target.raw_path, headers=[*fields.items()])
    parts = [line.send(part) for part in (request, h11.Data(content), h11.EndOfMessage())]
    return b"".join(part for part in parts if part)


async def _heard(line: h11.Connection, reader: asyncio.StreamReader, limit: int) -> Heard:
    status, encoding, body = 0, "", b""
    while len(body) <= limit:
        match event := line.next_event():
            case h11.NEED_DATA:
                line.receive_data(await reader.read(READ_BYTES))
            case h11.Response():
                status = event.status_code
                encoding = dict(event.headers.raw_items()).get(b"content-encoding", b"").decode("latin-1")
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                return Heard(status, encoding, body, await _beyond(line, reader))
    return Heard(status, encoding, body)


async def _beyond(line: h11.Connection, reader: asyncio.StreamReader) -> int:
    """Whatever has come already counts; otherwise what comes within LISTEN_S."""
    unparsed, closed = line.trailing_data
    if unparsed or closed:
        return len(unparsed)
    try:
        async with asyncio.timeout(LISTEN_S):
            return len(await reader.read(READ_BYTES))
    except TimeoutError:
        return 0
