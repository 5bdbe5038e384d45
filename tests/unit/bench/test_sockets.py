"""Idle sockets: authenticated once, then open until somebody closes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.sockets import Refused, idle_sockets
from tests.support.conditions import until

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
UNKNOWN = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\n\r\nnope"


class Server:
    """Answers each request the same, and remembers what it was asked and who is connected."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        await reader.read()  # until the other side goes
        writer.close()


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[tuple[Server, str]]:
    server = Server(answer)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        for writer in server.writers:
            writer.close()
        listening.close()
        await listening.wait_closed()


async def test_each_socket_asks_once_with_its_players_token_and_stays_open() -> None:
    async with serving(ANSWER) as (server, url), idle_sockets(url, ("a", "b"), 45) as sockets:
        assert len(sockets) == len(server.asked) == 45
        assert all(socket.is_open for socket in sockets)
        assert all(asked.startswith(b"GET /v1/game/balance HTTP/1.1\r\n") for asked in server.asked)
        assert sum(b"Authorization: Bearer a\r\n" in asked for asked in server.asked) == 23


async def test_a_socket_that_the_server_closed_is_not_open() -> None:
    async with serving(ANSWER) as (server, url), idle_sockets(url, ("a",), 2) as sockets:
        server.writers[0].close()

        async def noticed() -> bool:
            return not all(socket.is_open for socket in sockets)

        await until(noticed)
        assert sorted(socket.is_open for socket in sockets) == [False, True]


async def test_a_refusal_is_no_idle_socket() -> None:
    async with serving(UNKNOWN) as (_, url):
        with pytest.raises(Refused, match="401 unauthorized: nope"):
            async with idle_sockets(url, ("a",), 1):
                pass
