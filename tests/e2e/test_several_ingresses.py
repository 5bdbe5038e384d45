"""Several ingress processes behind one port: a player gets the same from each, and one that goes is not
missed."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from croupier_client import GameSocket, Patience
from temporalio.client import Client

from storage.database import Database
from tests.conftest import Services
from tests.e2e.parties import Operator, is_told_of_rounds
from tests.support.clients import (
    CHOICE,
    STAKE,
    THINKS_S,
    Player,
    answered,
    assert_nothing_lost_or_doubled,
    frozen,
    playing,
    seat_players,
    unhurried,
)
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ingress import Several, several_ingresses
from tests.support.sockets import Socket, opened

# So long a process that stops still answers on the connections that it has: each gets a request in that time
# from players who bet without pause.
DRAIN_DELAY_S: Final = 3
ROUNDS: Final = 30
SOCKETS: Final = 'croupier_admission_in_use{resource="sockets"}'
CONNECTIONS: Final = 'croupier_admission_in_use{resource="connections"}'


@pytest.fixture(scope="module")
async def several(services: Services, platform: dict[str, Any]) -> AsyncIterator[Several]:
    """Two. Commands are left to the ingress of all tests."""
    async with several_ingresses(
        services.stack, 2, drain_delay_s=DRAIN_DELAY_S, commands_enabled=False
    ) as several:
        yield several


@pytest.fixture
def behind(several: Several, platform: dict[str, Any]) -> dict[str, Any]:
    """The stack, as clients of these processes see it."""
    return {**platform, "base_url": several.base_url}


async def test_rounds_pushes_and_repeats_are_the_same_through_each(
    several: Several, operator: Operator
) -> None:
    """One player with an HTTP connection and a socket at each process. What is asked at one is asked again at
    the other, and both sockets hear of it."""
    player = await operator.open_session(balance=10_000)
    async with AsyncExitStack() as exits:
        https, sockets = [], []
        for name in several.programs:
            with several.alone(name):
                await until(lambda: is_told_of_rounds(several.base_url, player))
        for name in several.programs:
            with several.alone(name):
                socket = await exits.enter_async_context(opened(several.base_url, player.token))
                http = await exits.enter_async_context(http_client(base_url=several.base_url, timeout=HANG_S))
                assert (await http.get("/healthz")).status_code == 200
            https.append(http)
            sockets.append(socket)
            await until(lambda name=name: _has_one_socket(several, name))  # type: ignore[misc]
        for first, again in ((https[0], https[1]), (https[1], https[0])):
            wager, headers = player.wager(), {"Authorization": f"Bearer {player.token}"}
            played = await first.post("/v1/game/rounds", json=wager, headers=headers)
            assert played.status_code == 201, played.text
            repeated = await again.post("/v1/game/rounds", json=wager, headers=headers)
            assert (repeated.status_code, repeated.json()) == (200, played.json())
            assert repeated.headers["Idempotent-Replayed"] == "true"
            for socket in sockets:
                assert (await _pushed_round(socket)) == played.json()
        round_id = uuid4().hex
        asked = [
            await socket.send("bet", **player.wager(round_id)) for socket in sockets
        ]  # both before either is answered
        answers = [await answer for answer in asked]
        assert answers[0]["round"] == answers[1]["round"]
        assert sorted(answer["replayed"] for answer in answers) == [False, True]


async def _pushed_round(socket: Socket) -> Any:
    """The next one; balances come between."""
    while (message := await socket.next_push())["type"] != "round":
        pass
    return message["round"]


async def _has_one_socket(several: Several, name: str) -> bool:
    return await several.gauge(name, SOCKETS) == 1


async def _busiest(several: Several) -> str:
    connections = {name: await several.gauge(name, CONNECTIONS) for name in several.programs}
    return max(connections, key=lambda name: connections[name])


async def test_one_that_is_killed_loses_and_doubles_nothing_and_the_others_play_on(
    several: Several, behind: dict[str, Any], database: Database, temporal: Client
) -> None:
    cut_off, *players = await seat_players(behind, 9)
    async with playing(players):
        await until(lambda: answered(players, ROUNDS))
        victim = await _busiest(several)
        round_id = await _bet_and_kill(several, victim, cut_off)
        before = sum(len(player.answers) for player in players)
        await until(lambda: answered(players, before + ROUNDS))
        with unhurried(players):
            await several.start(victim)
    async with http_client() as client:
        await cut_off.bet(client, round_id)
        await assert_nothing_lost_or_doubled([cut_off, *players], database, temporal, client)


async def _bet_and_kill(several: Several, victim: str, player: Player) -> str:
    """A bet that this process has, and has not answered, when it is killed. Returns the round's id."""
    address = _address(several.base_url)
    with several.alone(victim):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: croupier\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b'"ok"}'), HANG_S)
    body = json.dumps({"round_id": (round_id := uuid4().hex), "stake": STAKE, "choice": CHOICE})
    head = f"POST /v1/game/rounds HTTP/1.1\r\nhost: croupier\r\nauthorization: Bearer {player.token}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with frozen(several.running[victim].pid):
        writer.write((head + body).encode())
        await writer.drain()
        await several.running[victim].kill()
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), HANG_S) == b"", "it was answered: no fault has fired"
    writer.close()
    return round_id


class StrictPlayer(Player):
    """Takes nothing but an answer: a reset connection is an error, and so is any status but 201. A round that
    is pending (202) has been answered too, and is asked for again until it is there (200)."""

    async def bet(self, client: httpx.AsyncClient, round_id: str) -> dict[str, Any]:
        wanted, answer = 201, await self._ask(client, round_id)
        if answer.status_code == 202:
            wanted, answer = 200, await until(lambda: self._ended(client, round_id))
        assert answer.status_code == wanted, answer.text
        self.answers[round_id] = answer.json()
        return self.answers[round_id]

    async def _ask(self, client: httpx.AsyncClient, round_id: str) -> httpx.Response:
        body = {"round_id": round_id, "stake": STAKE, "choice": CHOICE}
        url = f"{self.base_url}/v1/game/rounds"
        return await client.post(url, json=body, headers=self.headers, timeout=HANG_S)

    async def _ended(self, client: httpx.AsyncClient, round_id: str) -> Any:
        answer = await self._ask(client, round_id)
        return None if answer.status_code == 202 else answer


@asynccontextmanager
async def betting_over_a_socket(base_url: str, token: str) -> AsyncIterator[GameSocket]:
    """A game client that bets again and again inside the block, and gets each answer."""
    stop = asyncio.Event()

    async def bet(socket: GameSocket) -> None:
        while not stop.is_set():
            assert (await socket.bet(STAKE, CHOICE)).state.final
            await asyncio.sleep(THINKS_S)

    patience = Patience(total_s=HANG_S, first_pause_s=0.05)
    async with GameSocket(base_url, token, patience=patience) as socket:
        betting = asyncio.create_task(bet(socket))
        try:
            yield socket
        finally:
            stop.set()
            await asyncio.wait_for(betting, HANG_S)


async def test_a_rolling_restart_is_seen_by_nobody(
    several: Several, behind: dict[str, Any], database: Database, temporal: Client
) -> None:
    """Sockets are sent elsewhere, and what was asked over them is answered all the same."""
    at_socket, *seated = await seat_players(behind, 7)
    players = [StrictPlayer(one.base_url, one.token) for one in seated]
    async with (
        betting_over_a_socket(several.base_url, at_socket.token) as socket,
        playing([*players]),
    ):
        for name in several.programs:
            before = sum(len(player.answers) for player in players)
            await until(lambda before=before: answered([*players], before + ROUNDS))  # type: ignore[misc]
            pid = several.running[name].pid
            await several.running[name].stop()
            assert several.running[name].handle.returncode == 0
            with unhurried([*players]):
                await several.start(name)
            assert several.running[name].pid != pid
        before = sum(len(player.answers) for player in players)
        await until(lambda: answered([*players], before + ROUNDS))
    assert socket.connections > 1, "the socket was at neither process"
    async with http_client() as client:
        await assert_nothing_lost_or_doubled([*players], database, temporal, client)


async def test_what_waits_in_the_socket_is_taken_by_another_when_one_closes_it(several: Several) -> None:
    """Connections wait while both processes stand still. Then one is killed, with its copy of the socket, and
    the other goes on."""
    first, _ = several.programs
    waiting = []
    with several.alone(""):
        for _ in range(8):
            reader, writer = await asyncio.open_connection(*_address(several.base_url))
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: croupier\r\nconnection: close\r\n\r\n")
            waiting.append((reader, writer))
        await several.running[first].kill()
    answers: Counter[str] = Counter()
    for reader, writer in waiting:
        head, _, body = (await asyncio.wait_for(reader.read(), HANG_S)).partition(b"\r\n\r\n")
        answers[json.loads(body)["status"]] += 1
        assert head.startswith(b"HTTP/1.1 200")
        writer.close()
    assert answers == {"ok": 8}
    await several.start(first)


def _address(base_url: str) -> tuple[str, str]:
    host, _, port = base_url.removeprefix("http://").partition(":")
    return host, port
