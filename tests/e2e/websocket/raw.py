"""Sockets without a library: they cost this process next to nothing, and answer no ping unless told to."""

import asyncio
import json
from typing import Final

PING: Final = 0x89
CLOSE: Final = 0x88
SPARE: Final = 5  # as many as one session may have


def idle(full: bool) -> int:
    return 1_000 if full else 300


async def hold(base_url: str, token: str) -> asyncio.Task[None]:
    """A socket after its hello, which costs this process next to nothing, until its task is cancelled."""
    reader, writer, _ = await greeted(base_url, token)
    return asyncio.create_task(_answer_pings(reader, writer))


async def greeted(base_url: str, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """A socket without a library that would answer pings, and what its hello was answered with. Those before
    that are answered: the server may be slow to take up a hello."""
    reader, writer = await _connection(base_url)
    hello = json.dumps({"type": "hello", "token": token}).encode()
    writer.write(b"\x81\xfe" + len(hello).to_bytes(2, "big") + bytes(4) + hello)
    kind, answer = await frame(reader)
    while kind == PING:
        writer.write(_pong(answer))
        kind, answer = await frame(reader)
    assert b'"hello"' in answer
    return reader, writer, answer


async def frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next frame's first byte, and what it says: less than 64 KiB."""
    kind, length = await reader.readexactly(2)
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    return kind, await reader.readexactly(length)


async def _answer_pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the other side closes the socket."""
    try:
        while True:
            kind, payload = await frame(reader)
            if kind == CLOSE:
                return
            if kind == PING:
                writer.write(_pong(payload))
    finally:
        writer.close()


def _pong(payload: bytes) -> bytes:
    return bytes((0x8A, 0x80 | len(payload), 0, 0, 0, 0)) + payload


async def _connection(base_url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET /v1/game/ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer
