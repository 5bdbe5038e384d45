"""The game client's socket: peers that do not keep up, limits, and what is logged."""

import asyncio
import json
import socket as sockets
from typing import Any, Final

import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conftest import Services
from tests.e2e.parties import Operator, Player
from tests.e2e.websocket.answers import problem_of
from tests.e2e.websocket.raw import PING, SPARE, frame, greeted, hold, idle
from tests.support.conditions import HANG_S, until
from tests.support.ingress import Ingress, one_more_ingress
from tests.support.sockets import address, opened, refused

pytestmark = pytest.mark.usefixtures("told")

QUICK_HEARTBEAT_S: Final = 1


async def test_a_peer_that_does_not_read_is_cut_and_delays_nobody(
    base_url: str, operator: Operator, player: Player
) -> None:
    """Its own questions fill the way back; no more of them are read, and after a while it is cut."""
    lazy = await operator.open_session()
    plain = sockets.socket()
    plain.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
    plain.connect(("127.0.0.1", int(base_url.rsplit(":", 1)[1])))
    async with connect(address(base_url), sock=plain, compression=None, max_queue=1) as connection:
        await connection.send(json.dumps({"type": "hello", "token": lazy.token}))
        await connection.recv()
        connection.transport.pause_reading()

        async def ask_on() -> None:
            while True:
                await connection.send(json.dumps({"type": "session", "id": "x"}))

        asking = asyncio.create_task(ask_on())
        async with opened(base_url, player.token) as socket, asyncio.timeout(HANG_S):
            while not asking.done():
                assert (await socket.ask("ping"))["type"] == "pong"
                await asyncio.sleep(0.2)
        with pytest.raises(ConnectionClosed):
            await asking


async def test_a_peer_that_answers_no_ping_is_cut(
    platform: dict[str, Any], services: Services, player: Player
) -> None:
    """At an ingress of its own: no socket of a test that pauses would outlive such quick heartbeats."""
    async with one_more_ingress(
        services.stack, "quick-ingress", socket_heartbeat_s=QUICK_HEARTBEAT_S
    ) as quick:
        reader, writer, hello = await greeted(quick.base_url, player.token)
        assert json.loads(hello)["heartbeat_s"] == QUICK_HEARTBEAT_S
        async with asyncio.timeout(HANG_S):
            while (await frame(reader))[0] != PING:
                pass  # pushes may have been missed while the ingress had no broker yet
            await reader.read()  # until it is cut
        writer.close()


async def test_a_session_has_only_a_few_sockets(base_url: str, player: Player) -> None:
    hello = json.dumps({"type": "hello", "token": player.token})
    async with (
        opened(base_url, player.token) as first,
        opened(base_url, player.token),
        opened(base_url, player.token),
        opened(base_url, player.token),
        opened(base_url, player.token),
    ):
        answer, code = await refused(base_url, hello)
        problem_of(answer, "too-many-requests")
        assert code == 4429
        await first.connection.close()
        await until(lambda: _is_taken(base_url, hello))


async def _is_taken(base_url: str, hello: str) -> bool:
    try:
        async with connect(address(base_url), compression=None) as connection:
            await connection.send(hello)
            return bool(json.loads(await connection.recv())["type"] == "hello")
    except InvalidStatus:
        return False  # the process has no place yet


async def test_many_idle_sockets_take_little_memory_and_no_more_are_taken(
    other: Ingress, operator: Operator, full: bool
) -> None:
    count = idle(full)
    ingress = psutil.Process(other.running.pid)
    players = [await operator.open_session() for _ in range(count // 5)]
    before = ingress.memory_info().rss
    held: list[asyncio.Task[None]] = []
    for player in players:
        held += await asyncio.gather(*(hold(other.base_url, player.token) for _ in range(5)))
    grown_mib = (ingress.memory_info().rss - before) / 2**20
    print(f"{grown_mib:.1f} MiB for {count} idle sockets")  # noqa: T201
    last = await operator.open_session()
    held += [await hold(other.base_url, last.token) for _ in range(SPARE)]
    with pytest.raises(InvalidStatus) as one_too_many:
        async with connect(address(other.base_url)):
            pass
    assert one_too_many.value.response.status_code == 503
    assert json.loads(one_too_many.value.response.body)["code"] == "overloaded"
    assert not any(socket.done() for socket in held), "one was closed, and its place was free"
    for socket in held:
        socket.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    await until(lambda: _is_taken(other.base_url, json.dumps({"type": "hello", "token": last.token})))
    assert grown_mib < 150 * count / 1_000, f"{grown_mib:.0f} MiB for {count} sockets"


async def test_no_token_is_in_a_log_that_has_everything(other: Ingress, player: Player) -> None:
    async with opened(other.base_url, player.token) as socket:
        await socket.ask("bet", **player.wager())
    with pytest.raises(InvalidStatus):
        async with connect(address(other.base_url) + "x?token=" + player.token):
            pass
    async with connect(address(other.base_url) + "?token=" + player.token):
        pass
    with open(other.log, encoding="utf-8") as log:  # noqa: ASYNC230
        text = log.read()
    assert "DEBUG" in text
    assert player.token not in text
    assert player.token.split(".")[1] not in text
