"""Open sockets that do nothing: connections of players who have read their balance and now wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

from bench.wire import address

PATH: Final = "/v1/game/balance"
OPENING: Final = 20  # at once, so that opening is no storm
LIMIT_S: Final = 15.0


class Refused(Exception):
    """The server did not answer a balance; the text says what it said."""


class IdleSocket:
    """One authenticated keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, url: str, token: str) -> Self:
        """Connect and ask for the balance. Raises OSError, TimeoutError or Refused."""
        host, port = address(url)
        async with asyncio.timeout(LIMIT_S):
            socket = cls(*await asyncio.open_connection(host, port))
            try:
                await socket._ask(f"{host}:{port}", token)
            except BaseException:
                socket.close()
                raise
        return socket

    async def _ask(self, host: str, token: str) -> None:
        lines = (f"GET {PATH} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {token}", "", "")
        self._writer.write("\r\n".join(lines).encode("ascii"))
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("ascii").lower()
            status, *headers = head.split("\r\n")
            length = next((line.split(":")[1] for line in headers if line.startswith("content-length:")), "0")
            body = await self._reader.readexactly(int(length))
        except asyncio.IncompleteReadError:
            raise Refused("it closed the connection") from None
        if " 200" not in status:
            raise Refused(f"{status}: {body.decode(errors='replace')}")

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it."""
        return not self._reader.at_eof() and self._reader.exception() is None

    def close(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def idle_sockets(url: str, tokens: Sequence[str], count: int) -> AsyncIterator[list[IdleSocket]]:
    """Opens `count` sockets of these players; the block's end closes them. Raises OSError, TimeoutError or
    Refused.
    """
    sockets: list[IdleSocket] = []
    try:
        for first in range(0, count, OPENING):
            numbers = range(first, min(first + OPENING, count))
            opening = (IdleSocket.open(url, tokens[number % len(tokens)]) for number in numbers)
            sockets += await asyncio.gather(*opening)
        yield sockets
    finally:
        for socket in sockets:
            socket.close()
