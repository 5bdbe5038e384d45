"""A socket ends though its peer reads nothing any more."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Final

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from api.transports.websocket import protocol
from api.transports.websocket.protocol import SocketProtocol
from tests.support.conditions import HANG_S, until

FULL: list[SocketProtocol] = []
CLOSE: Final = b"\x88\x82" + bytes(4) + (1000).to_bytes(2, "big")  # masked with nothing


async def fills_its_peer(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends until something is left that the peer does not read, then waits for the peer to close."""
    await receive()
    await send({"type": "websocket.accept"})
    own: SocketProtocol = scope["state"]["cut"].__self__
    while own.transport.get_write_buffer_size() == 0:
        await send({"type": "websocket.send", "text": "x" * 4_000})
    FULL.append(own)
    await receive()


async def fills_its_peer_and_closes(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    own: SocketProtocol = scope["state"]["cut"].__self__
    own.close_timeout = 0.01
    while own.transport.get_write_buffer_size() == 0:
        await send({"type": "websocket.send", "text": "x" * 4_000})
    FULL.append(own)
    await send({"type": "websocket.close", "code": 1000})


@contextlib.asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[uvicorn.Server]:
    config = uvicorn.Config(
        app, loop="none", ws=SocketProtocol, lifespan="off",
        log_config=None, access_log=False, host="127.0.0.1", port=0, timeout_graceful_shutdown=1,
        ws_per_message_deflate=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    running = asyncio.create_task(server.serve())
    try:
        await until(lambda: _value(server.started))
        yield server
    finally:
        server.should_exit = True
        await running


async def _value(value: bool) -> bool:
    return value


async def _filled(connection: socket.socket, server: uvicorn.Server) -> None:
    """Connects, and returns when there is something that it does not read."""
    port = server.servers[0].sockets[0].getsockname()[1]
    client = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}/"))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.settimeout(HANG_S)
    await asyncio.to_thread(connection.connect, ("127.0.0.1", port))
    client.send_request(client.connect())
    connection.sendall(b"".join(client.data_to_send()))
    await until(lambda: _value(bool(FULL)))


@pytest.mark.parametrize(
    ("app", "closes"), [(fills_its_peer, True), (fills_its_peer_and_closes, False)], ids=["peer", "we"]
)
async def test_a_socket_that_is_closed_and_not_read_ends(
    monkeypatch: pytest.MonkeyPatch, app: ASGIApp, closes: bool
) -> None:
    monkeypatch.setattr(protocol, "FAREWELL_S", 0.01)
    FULL.clear()
    async with serving(app) as server:
        with socket.socket() as connection:
            await _filled(connection, server)
            if closes:
                connection.sendall(CLOSE)
            await until(lambda: _value(not server.server_state.connections))


async def test_a_server_stops_while_a_closed_socket_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "FAREWELL_S", HANG_S)
    FULL.clear()
    with socket.socket() as connection:
        async with serving(fills_its_peer) as server:
            await _filled(connection, server)
            connection.sendall(CLOSE)
            await until(lambda: _value(FULL[0].transport.is_closing()))


async def test_a_socket_full_of_pings_is_taken_apart_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece is followed by a rest, here one without an end, in which other sockets are served."""
    monkeypatch.setattr(protocol, "LONG_S", 0.0)
    monkeypatch.setattr(protocol, "REST", 1e9)
    own: list[SocketProtocol] = []

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        own.append(scope["state"]["cut"].__self__)
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    async with serving(echo) as server:
        url = f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
        async with (
            connect(url, proxy=None, open_timeout=HANG_S) as flooding,
            connect(url, proxy=None, open_timeout=HANG_S) as other,
        ):
            await until(lambda: _value(len(own) == 2))
            flooding.transport.write(b"\x89\x80\0\0\0\0" * 10_000)
            await until(lambda: _value(own[0]._rest is not None))
            await other.send("still served")
            assert await asyncio.wait_for(other.recv(), HANG_S) == "still served"
            assert own[0]._unread
            own[0].keepalive_timeout()
            assert not own[0].transport.is_closing(), "its answer to our ping may be among what is unread"
            own[0].transport.abort()


async def test_what_a_flood_brings_is_left_on_the_network_until_it_can_be_read() -> None:
    kept: list[int] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        own: SocketProtocol = scope["state"]["cut"].__self__
        while (await receive())["type"] == "websocket.receive":
            kept.append(len(own._unread))
            await asyncio.sleep(0.001)

    async with serving(slow) as server:
        url = f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
        async with connect(url, proxy=None, open_timeout=HANG_S) as flooding:
            sending = asyncio.create_task(_flood(flooding, "x" * 8_000))
            await until(lambda: _value(len(kept) >= 200))
            assert max(kept) <= 256 * 1024, "no more than what is read at once"
            sending.cancel()
            flooding.transport.abort()


async def _flood(flooding: ClientConnection, text: str) -> None:
    while True:
        await flooding.send(text)
