"""The game client's socket and frames that mean harm or nothing."""

import asyncio
import json
import time
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.uri import parse_uri

from api.transports.websocket import server
from api.transports.websocket.protocol import FAREWELL_S
from tests.e2e.parties import Gateway, Player, checked_problem
from tests.e2e.websocket.answers import problem_of
from tests.support.conditions import HANG_S
from tests.support.sockets import address, last_words, opened, refused

pytestmark = pytest.mark.usefixtures("told")

CLOCKS_DIFFER_S: Final = 0.1  # of event loops, which round


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"bet"',
        "{",
        '{"type": "bet", "type": "bet"}',
        '{"type": NaN}',
        '{"type": "dance", "id": "x"}',
        '{"type": ["bet"], "id": "x"}',
        '{"id": "x"}',
        '{"type": "ping"}',
        '{"type": "ping", "id": 5}',
        '{"type": "ping", "id": "' + "x" * 65 + '"}',
        '{"type": "ping", "id": "x", "more": 1}',
        '{"type": "hello", "token": "again", "id": "x"}',
        "[" * 8_000,
        '{"type": "round", "id": "x", "round_id": "' + "1" * 8_000 + '"}',
    ],
    ids=lambda text: text[:40],
)
async def test_a_message_that_makes_no_sense_is_a_problem_and_not_an_end(
    base_url: str, player: Player, text: str
) -> None:
    async with connect(address(base_url), compression=None) as connection:
        await connection.send(json.dumps({"type": "hello", "token": player.token}))
        await connection.recv()
        await connection.send(text)
        answer = json.loads(await connection.recv())
        problem_of(answer, "invalid")
        assert answer["id"] == ("x" if '"id": "x"' in text else None)
        await connection.send('{"type": "ping", "id": "still-here"}')
        assert json.loads(await connection.recv()) == {"type": "pong", "id": "still-here"}


@pytest.mark.parametrize(
    ("frame", "code"),
    [(b"\x00\x01", 1003), ("x" * (64 * 1024 + 1), 1009), ([b"\xff\xfe"], 1007)],
    ids=["binary", "too large", "not UTF-8"],
)
async def test_a_frame_that_is_no_message_ends_the_socket(
    base_url: str, player: Player, frame: Any, code: int
) -> None:
    async with opened(base_url, player.token) as socket:
        if isinstance(frame, list):
            await socket.connection.send(frame[0], text=True)
        else:
            await socket.connection.send(frame)
        assert await socket.closed() == code


async def test_a_large_message_in_fragments_is_too_large_all_the_same(base_url: str, player: Player) -> None:
    async with opened(base_url, player.token) as socket:
        with suppress(ConnectionClosed):  # it may be told before it has sent everything
            await socket.connection.send(["x" * 1_000] * 70)
        assert await socket.closed() == 1009


@pytest.mark.parametrize("code", [1007, 1009])
async def test_who_goes_on_sending_is_told_all_the_same_why_the_socket_ends(
    base_url: str, player: Player, code: int
) -> None:
    """A connection that is closed while its peer still sends is reset, and what it was told last is lost."""
    while (closed := await _code_after_sending_on(base_url, player, code)) is None:
        pass
    assert closed == code


async def _code_after_sending_on(base_url: str, player: Player, code: int) -> int | None:
    """None for a try in which the machine stood still for so long that the server had waited enough."""
    client = ClientProtocol(parse_uri(address(base_url)))
    reader, writer = await asyncio.open_connection(*urlsplit(base_url).netloc.split(":"))
    client.send_request(client.connect())
    writer.write(b"".join(client.data_to_send()))
    client.receive_data(await reader.readuntil(b"\r\n\r\n"))
    client.send_text(json.dumps({"type": "hello", "token": player.token}).encode())
    client.send_text(b"x" * 66_000 if code == 1009 else b"\xff\xfe")
    began = time.monotonic()
    writer.write(b"".join(client.data_to_send()))
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(20):
        client.send_text(b"and more", fin=True)
        client.send_ping(b"still there?")
        writer.write(b"".join(client.data_to_send()))
        await asyncio.sleep(0.01)
    if time.monotonic() - began > FAREWELL_S / 2:
        writer.transport.abort()
        return None
    reader._transport.resume_reading()  # type: ignore[attr-defined]
    client.receive_data(await asyncio.wait_for(reader.read(), HANG_S))
    assert client.close_rcvd is not None
    writer.close()
    return client.close_rcvd.code


async def test_the_hello_must_be_one(base_url: str, player: Player) -> None:
    answer, code = await refused(base_url, '{"type": "ping", "id": "x"}')
    problem_of(answer, "invalid")
    assert code == 4400
    answer, code = await refused(base_url, json.dumps({"type": "hello", "token": player.token + "x"}))
    problem_of(answer, "unauthenticated")
    assert code == 4401
    answer, code = await refused(base_url, json.dumps({"type": "hello", "token": player.operator.key}))
    assert code == 4401
    answer, code = await refused(
        base_url, json.dumps({"type": "hello", "token": player.token, "last_sequence": -1})
    )
    assert (code, player.token in json.dumps(answer)) == (4400, False)
    answer, code = await refused(base_url, b"\x00")
    assert code == 1003


async def test_who_says_no_hello_is_closed_after_five_seconds(base_url: str) -> None:
    """And not before: how much later is the machine's affair, as long as it is at all."""
    began = time.monotonic()
    async with connect(address(base_url)) as connection:
        answer, code = await last_words(connection)
    problem_of(answer, "invalid")
    assert code == 4408
    assert time.monotonic() - began > server.HELLO_LIMIT_S - CLOCKS_DIFFER_S


async def test_plain_http_is_told_to_upgrade(gateway: Gateway) -> None:
    answer = await gateway.http.get("/v1/game/ws")
    checked_problem(answer, 426, "upgrade-required")
    assert answer.headers["upgrade"] == "websocket"
