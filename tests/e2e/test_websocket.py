"""The game client's socket: the same calls as over HTTP, pushes from wherever a round ends, and peers that
mean harm."""

import asyncio
import json
import socket as sockets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import aio_pika
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.uri import parse_uri

from api.session.schemas import SessionOut
from api.transports.websocket import server
from games.lucky_fruits import GAME as LUCKY_FRUITS
from storage import rounds
from storage.database import Database
from tests.conftest import Services
from tests.e2e.house import LEAKS, House, Operator, Player, checked_problem, checked_round, is_told_of_rounds
from tests.e2e.test_choices import open_round
from tests.support.clients import frozen
from tests.support.conditions import HANG_S, until
from tests.support.ingress import Ingress, one_more_ingress
from tests.support.ledger import waiting_for_a_lock
from tests.support.sockets import Message, Socket, address, last_words, opened, refused

pytestmark = pytest.mark.usefixtures("told")

QUICK_HEARTBEAT_S: Final = 1
# How many seconds a token may last until it is used: more where the machine was too slow for less.
LONGER_AND_LONGER_S: Final = (2, 8, 32)
PING: Final = 0x89
SPARE: Final = 5  # as many as one session may have
CLOCKS_DIFFER_S: Final = 0.1  # of event loops, which round


@pytest.fixture(scope="module")
async def other(
    platform: dict[str, Any], services: Services, operator: Operator, full: bool
) -> AsyncIterator[Ingress]:
    """A second ingress, with a log in which everything is."""
    most = _idle(full) + SPARE
    async with one_more_ingress(
        services.stack, "other-ingress", max_sockets=most, log_level="debug"
    ) as ingress:
        player = await operator.open_session(balance=1_000_000)
        await until(lambda: is_told_of_rounds(ingress.base_url, player))
        yield ingress


@pytest.fixture
def base_url(platform: dict[str, Any]) -> str:
    url: str = platform["base_url"]
    return url


@pytest.fixture
async def socket(base_url: str, player: Player) -> AsyncIterator[Socket]:
    async with opened(base_url, player.token) as open_:
        yield open_


def problem_of(message: Message, code: str) -> Message:
    """The problem document of an answer, which tells no internals."""
    assert message["type"] == "problem", message
    problem: Message = message["problem"]
    assert (problem["code"], problem["type"]) == (code, f"urn:croupier:problem:{code}"), problem
    assert not LEAKS.search(json.dumps(message))
    return problem


async def in_ledger(database: Database, player: Player) -> tuple[int, int]:
    """The player's rounds, and the stakes that were taken for them."""
    row = await database.pool.fetchrow(
        "SELECT (SELECT count(*) FROM rounds WHERE player_key = $1),"
        " (SELECT count(*) FROM transfers WHERE player_key = $1 AND kind = 'stake')",
        player.claims.player_key,
    )
    return row[0], row[1]


# The calls


async def test_every_call_answers_as_over_http(socket: Socket, player: Player, database: Database) -> None:
    assert socket.hello == {
        "type": "hello",
        "session_id": player.session_id,
        "sequence": await rounds.sequence(database.pool, player.claims.player_key),
        "heartbeat_s": 20,
    }
    wager = player.wager()
    played = await socket.ask("bet", **wager)
    assert (played["type"], played["replayed"], played["round"]["state"]) == ("round", False, "settled")

    over_http = await player.bet(**wager)
    assert over_http.headers["idempotent-replayed"] == "true"
    assert over_http.json() == played["round"]
    again = await socket.ask("bet", **wager)
    assert (again["replayed"], again["round"]) == (True, played["round"])

    found = await socket.ask("round", round_id=wager["round_id"])
    assert (found["replayed"], found["round"]) == (False, played["round"])
    balance = await socket.ask("balance")
    assert balance["balance"] == played["round"]["balance"]
    session = (await socket.ask("session"))["session"]
    assert session == (await player.call("GET", "/session")).json()
    SessionOut.model_validate_json(json.dumps(session))
    assert set(await socket.ask("ping")) == {"type", "id"}
    await socket.nothing_pushed()


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("bet", {"stake": 7, "choice": {"direction": "over", "target": 4_999}, "round_id": "odd-stake"}),
        ("bet", {"stake": 100, "choice": {"direction": "sideways"}, "round_id": "odd-choice"}),
        ("bet", {"stake": 1_000_000, "choice": {"direction": "over", "target": 4_999}, "round_id": "much"}),
        ("bet", {"stake": 1.5, "round_id": "a-fraction"}),
        ("bet", {"stake": 100, "round_id": "unknown-field", "win": 1_000}),
        ("bet", {"stake": 100, "round_id": "no spaces"}),
    ],
)
async def test_a_refused_bet_is_the_problem_that_http_answers(
    socket: Socket, player: Player, kind: str, fields: dict[str, Any]
) -> None:
    answer = await socket.ask(kind, **fields)
    over_http = (await player.call("POST", "/rounds", json=fields)).json()
    problem = problem_of(answer, over_http["code"])
    assert problem | {"request_id": ""} == over_http | {"request_id": ""}


async def test_a_declined_bet_says_the_balance_and_that_it_was_declined_before(
    operator: Operator, base_url: str
) -> None:
    poor = await operator.open_session(balance=50)
    async with opened(base_url, poor.token) as socket:
        wager = poor.wager()
        first = await socket.ask("bet", **wager)
        again = await socket.ask("bet", **wager)
    assert problem_of(first, "insufficient-funds")["balance"] == {"amount": 50, "currency": "EUR"}
    assert problem_of(again, "insufficient-funds")["round_id"] == wager["round_id"]
    assert (first["replayed"], again["replayed"]) == (False, True)


async def test_an_expired_token_bets_no_more_and_still_looks(base_url: str, player: Player) -> None:
    await player.played(round_id="before")
    async with opened(base_url, player.expired().token) as socket:
        problem_of(await socket.ask("bet", **player.wager()), "session-expired")
        assert (await socket.ask("round", round_id="before"))["round"]["state"] == "settled"
        assert (await socket.ask("balance"))["type"] == "balance"


async def test_a_token_that_expires_in_the_middle(base_url: str, player: Player) -> None:
    async with AsyncExitStack() as sockets:
        for lasts_s in LONGER_AND_LONGER_S:
            short = player.with_claims(expires_at=int(time.time()) + lasts_s)
            socket = await sockets.enter_async_context(opened(base_url, short.token))
            answer = await socket.ask("bet", **player.wager())
            if answer["type"] == "round":
                break
        assert answer["type"] == "round"

        async def refused() -> bool:
            answer = await socket.ask("bet", **player.wager())
            return bool(answer["type"] == "problem")

        await until(refused)
        problem_of(await socket.ask("bet", **player.wager()), "session-expired")
        assert (await socket.ask("balance"))["type"] == "balance"


async def test_another_players_round_is_not_found(socket: Socket, rival: Operator) -> None:
    stranger = await rival.open_session(balance=1_000)
    theirs = await stranger.played()
    problem_of(await socket.ask("round", round_id=theirs["round_id"]), "not-found")


async def test_a_hundred_identical_bets_over_a_socket_and_over_http_are_one_round(
    socket: Socket, player: Player, database: Database
) -> None:
    wager = player.wager()
    over_socket = [await socket.send("bet", **wager) for _ in range(50)]
    over_http = await asyncio.gather(*(player.bet(**wager) for _ in range(50)))
    answers = await asyncio.gather(*over_socket)
    firsts = [answer["replayed"] for answer in answers].count(False)
    firsts += [response.status_code for response in over_http].count(201)
    assert firsts == 1
    bodies = [answer["round"] for answer in answers] + [checked_round(response) for response in over_http]
    assert all(body == bodies[0] for body in bodies)
    assert await in_ledger(database, player) == (1, 1)


async def test_an_action_that_overtakes_its_bet_is_not_found_and_changes_nothing(
    socket: Socket, player: Player, database: Database
) -> None:
    action = {"round_id": "later", "action_id": "a", "action": "collect"}
    problem_of(await socket.ask("action", **action), "not-found")
    problem_of(await socket.ask("round", round_id="later"), "not-found")
    played = await socket.ask("bet", **player.wager("later"))
    assert (played["replayed"], played["round"]["state"]) == (False, "settled")
    problem_of(await socket.ask("action", **action), "round-closed")
    assert await in_ledger(database, player) == (1, 1)


async def test_requests_run_at_once_and_are_answered_by_their_ids(
    socket: Socket, player: Player, database: Database
) -> None:
    """A bet that waits delays no look, though it was sent first."""
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE seeds IN EXCLUSIVE MODE")
        bet = await socket.send("bet", **player.wager())
        await until(lambda: waiting_for_a_lock(database))
        assert (await socket.ask("ping"))["type"] == "pong"
        assert not bet.done()
    assert (await bet)["round"]["state"] == "settled"


async def test_as_many_messages_as_come_are_worked_on_a_few_at_a_time(
    socket: Socket, player: Player, database: Database
) -> None:
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE seeds IN EXCLUSIVE MODE")
        bets = [await socket.send("bet", **player.wager("one")) for _ in range(server.AT_ONCE)]
        await until(lambda: waiting_for_a_lock(database))
        beyond = await socket.send("ping")
        await asyncio.sleep(0.3)  # if it is slow to be answered, a fault is missed, and none is made up
        assert not beyond.done()
    assert {(await bet)["round"]["round_id"] for bet in bets} == {"one"}
    assert (await beyond)["type"] == "pong"


# Hostile frames


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
        "[" * 30_000,
        '{"type": "round", "id": "x", "round_id": "' + "1" * 60_000 + '"}',
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
    client = ClientProtocol(parse_uri(address(base_url)))
    reader, writer = await asyncio.open_connection(*urlsplit(base_url).netloc.split(":"))
    client.send_request(client.connect())
    writer.write(b"".join(client.data_to_send()))
    client.receive_data(await reader.readuntil(b"\r\n\r\n"))
    client.send_text(json.dumps({"type": "hello", "token": player.token}).encode())
    client.send_text(b"x" * 66_000 if code == 1009 else b"\xff\xfe")
    writer.write(b"".join(client.data_to_send()))
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(20):
        client.send_text(b"and more", fin=True)
        client.send_ping(b"still there?")
        writer.write(b"".join(client.data_to_send()))
        await asyncio.sleep(0.01)
    reader._transport.resume_reading()  # type: ignore[attr-defined]
    client.receive_data(await asyncio.wait_for(reader.read(), HANG_S))
    assert client.close_rcvd is not None
    assert client.close_rcvd.code == code
    writer.close()


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


async def test_plain_http_is_told_to_upgrade(house: House) -> None:
    answer = await house.http.get("/v1/game/ws")
    checked_problem(answer, 426, "upgrade-required")
    assert answer.headers["upgrade"] == "websocket"


# Pushes


async def test_a_round_over_http_is_pushed_to_sockets_at_every_ingress(
    base_url: str, other: Ingress, player: Player
) -> None:
    async with opened(base_url, player.token) as here, opened(other.base_url, player.token) as there:
        played = await player.played()
        for socket in (here, there):
            assert (await socket.push("round"))["round"] == played
            assert (await socket.push("balance"))["balance"] == played["balance"]
            await socket.nothing_pushed()


async def test_a_round_over_one_socket_is_pushed_to_the_others_alone(
    base_url: str, other: Ingress, player: Player
) -> None:
    async with opened(base_url, player.token) as here, opened(other.base_url, player.token) as there:
        played = (await here.ask("bet", **player.wager()))["round"]
        assert (await there.push("round"))["round"] == played
        await here.nothing_pushed()


async def test_nobody_else_hears_of_it(base_url: str, operator: Operator, player: Player) -> None:
    """Not even the player of the same name at another operator."""
    namesake = await (await operator.house.new_operator()).open_session(player.player_id)
    neighbour = await operator.open_session()
    async with opened(base_url, namesake.token) as one, opened(base_url, neighbour.token) as two:
        await player.played()
        await one.nothing_pushed()
        await two.nothing_pushed()


async def test_a_player_of_play_money_hears_of_that_alone_and_the_real_one_of_the_real(
    base_url: str, other: Ingress, operator: Operator, player: Player
) -> None:
    """They have one name, and one key on the broker."""
    demo = await operator.open_session(player.player_id, mode="demo")
    async with opened(base_url, demo.token) as playing, opened(other.base_url, player.token) as real:
        for seat, hears, does_not in ((demo, playing, real), (player, real, playing)):
            played = await seat.played()
            assert (await hears.push("round"))["round"] == played
            assert (await hears.push("balance"))["balance"] == played["balance"]
            await does_not.nothing_pushed()


async def test_an_event_shows_nothing_of_its_second_key(amqp_url: str, player: Player, base_url: str) -> None:
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("croupier.events", f"{player.claims.operator_id}.#")
        await player.played(round_id="watched")
        async with asyncio.timeout(HANG_S), queue.iterator(no_ack=True) as messages:
            async for message in messages:
                if json.loads(message.body)["subject"] == "watched":
                    break
    assert set(message.headers) == {"croupier-signature", "croupier-key-id"}
    assert message.routing_key == f"{player.claims.operator_id}.dice.round.settled"


async def test_a_session_that_ends_closes_its_sockets_wherever_they_are(
    base_url: str, other: Ingress, operator: Operator, player: Player
) -> None:
    second = await operator.open_session(player.player_id)
    async with (
        opened(base_url, player.token) as here,
        opened(other.base_url, player.token) as there,
        opened(base_url, second.token) as unconcerned,
    ):
        assert (await operator.call("DELETE", f"/sessions/{player.session_id}")).status_code == 204
        for socket in (here, there):
            await socket.push("session-ended")
            assert await socket.closed() == 4410
        assert (await unconcerned.ask("ping"))["type"] == "pong"
    async with opened(base_url, player.token) as late:
        await late.push("session-ended")
        assert await late.closed() == 4410


async def test_a_broker_that_restarts_ends_no_socket_and_pushes_come_again(
    base_url: str, other: Ingress, services: Services, player: Player
) -> None:
    async with opened(base_url, player.token) as socket:
        await services.stack.restart("rabbitmq")
        await socket.push("resync")
        played = await player.played()
        assert (await socket.push("round"))["round"] == played
        async with opened(base_url, player.token) as fresh:
            played = await player.played()
            assert (await fresh.push("round"))["round"] == played
    await until(lambda: is_told_of_rounds(other.base_url, player))


async def test_a_socket_opens_and_plays_while_the_broker_says_nothing(
    base_url: str, other: Ingress, services: Services, player: Player
) -> None:
    with frozen(services.stack.pid("rabbitmq")):
        async with opened(base_url, player.token) as socket:
            assert (await socket.ask("bet", **player.wager()))["round"]["state"] == "settled"
    for url in (base_url, other.base_url):
        await until(lambda url=url: is_told_of_rounds(url, player))  # type: ignore[misc]


async def test_a_round_that_waits_is_told_everywhere_and_goes_on_over_a_socket(
    base_url: str, other: Ingress, operator: Operator
) -> None:
    player = await operator.open_session(balance=1_000_000, game_id=LUCKY_FRUITS.id)
    async with opened(other.base_url, player.token) as there:
        waits = await open_round(player)
        told = await there.push("round")
        while told["type"] == "balance" or told["round"]["round_id"] != waits["round_id"]:
            told = await there.next_push()
        assert told["round"] == waits
        async with opened(base_url, player.token) as here:
            assert (await here.push("round"))["round"] == waits
            unknown = await here.ask("action", round_id=waits["round_id"], action_id="a0", action="steal")
            assert problem_of(unknown, "unknown-choice")["choices"] == waits["choices"]
            collect = {"round_id": waits["round_id"], "action_id": "a1", "action": "collect"}
            taken = await here.ask("action", **collect)
            assert (taken["type"], taken["replayed"], taken["round"]["state"]) == ("round", False, "settled")
            again = await here.ask("action", **collect)
            assert (again["replayed"], again["round"]) == (True, taken["round"])
            while (told := await there.next_push())["type"] == "balance":
                pass
            assert told["round"] == taken["round"]
            assert (await there.push("balance"))["balance"] == taken["round"]["balance"]
            await here.nothing_pushed()


# Resuming


async def test_a_dropped_socket_resumes_by_its_last_sequence(base_url: str, player: Player) -> None:
    async with opened(base_url, player.token) as socket:
        first = (await socket.ask("bet", **player.wager()))["round"]
    missed = [await player.played() for _ in range(3)]
    async with opened(base_url, player.token, last_sequence=first["sequence"]) as socket:
        assert socket.hello["sequence"] == missed[-1]["sequence"]
        assert [(await socket.push("round"))["round"] for _ in missed] == missed
        await socket.nothing_pushed()
    async with opened(base_url, player.token, last_sequence=missed[-1]["sequence"]) as socket:
        await socket.nothing_pushed()
    async with opened(base_url, player.token) as socket:
        await socket.nothing_pushed()


async def test_a_sequence_that_was_never_given_out_asks_the_client_to_look(
    base_url: str, player: Player
) -> None:
    async with opened(base_url, player.token, last_sequence=99) as socket:
        await socket.push("resync")


async def test_who_missed_too_much_gets_the_first_of_it_and_is_told_so(
    base_url: str, player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = server.REPLAYED_ROUNDS + 3
    for _ in range(0, count, 10):
        await player.bet()
    played = len(await player.history())
    for _ in range(count - played):
        await player.bet()
    async with opened(base_url, player.token, last_sequence=0) as socket:
        told = [(await socket.push("round"))["round"]["sequence"] for _ in range(server.REPLAYED_ROUNDS)]
        closed = [round_["sequence"] for round_ in reversed(await player.history())]
        assert told == closed[: server.REPLAYED_ROUNDS]
        await socket.push("resync")


async def test_rounds_that_close_while_a_socket_resumes_are_told_once_each(
    base_url: str, operator: Operator
) -> None:
    """A player plays on while sockets come and go: each hears of every round since the one before it left."""
    player = await operator.open_session(balance=100_000)
    async with opened(base_url, player.token) as before:
        known = before.hello["sequence"]

    async def play() -> None:
        for _ in range(40):
            await player.played()

    playing, last = asyncio.create_task(play()), known + 40

    async def hear(socket: Socket) -> int:
        """The sequence of the next round that is told to have closed."""
        while True:
            message = await socket.next_push()
            if message["type"] == "round" and message["round"]["sequence"] is not None:
                return int(message["round"]["sequence"])

    while known < last:
        async with opened(base_url, player.token, last_sequence=known) as socket:
            for _ in range(min(3, last - known)):
                assert await hear(socket) == known + 1
                known += 1
    await playing
    async with opened(base_url, player.token, last_sequence=known) as socket:
        await socket.nothing_pushed()


async def test_an_open_round_is_told_at_the_hello_and_its_end_is_pushed(
    base_url: str, player: Player, database: Database
) -> None:
    """A socket is dropped while its bet waits. The bet goes on; the next socket sees it through."""
    async with AsyncExitStack() as later:
        async with database.pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE transfers IN EXCLUSIVE MODE")
            async with opened(base_url, player.token) as dropped:
                await dropped.send("bet", **player.wager("goes-on"))
                await until(lambda: waiting_for_a_lock(database))
                dropped.connection.transport.abort()
            socket = await later.enter_async_context(opened(base_url, player.token, last_sequence=0))
            assert (await socket.push("round"))["round"]["state"] == "pending"
        ended = (await socket.push("round"))["round"]
        assert (ended["round_id"], ended["state"]) == ("goes-on", "settled")
    assert await in_ledger(database, player) == (1, 1)


@pytest.mark.parametrize(
    "lock",
    [
        "",
        "LOCK TABLE seeds IN EXCLUSIVE MODE",
        "LOCK TABLE transfers IN EXCLUSIVE MODE",
        "LOCK TABLE outbox IN EXCLUSIVE MODE",
    ],
    ids=["as soon as it is sent", "while it reserves", "while it settles", "at the end of its settling"],
)
async def test_a_socket_that_is_dropped_during_a_bet_leaves_one_round(
    base_url: str, player: Player, database: Database, lock: str
) -> None:
    wager = player.wager()
    async with database.pool.acquire() as connection, connection.transaction():
        if lock:
            await connection.execute(lock)
        async with opened(base_url, player.token) as dropped:
            await dropped.send("bet", **wager)
            if lock:
                await until(lambda: waiting_for_a_lock(database))
            dropped.connection.transport.abort()
    async with opened(base_url, player.token) as socket:
        answer = await socket.ask("bet", **wager)
        assert answer["round"]["state"] == "settled"
    assert await in_ledger(database, player) == (1, 1)
    assert await player.balance() == 9_900 + answer["round"]["win"]["amount"]


# Peers that do not keep up, and limits


@pytest.mark.parametrize("moment", ["bet sent", "offer read", "action sent", "action read"])
async def test_a_socket_that_is_dropped_at_any_moment_of_a_round_with_choices_finds_it_again(
    base_url: str, operator: Operator, database: Database, moment: str
) -> None:
    player = await operator.open_session(balance=1_000_000, game_id=LUCKY_FRUITS.id)
    waits = await _dropped_until_one_waits(base_url, player, moment)
    chosen = waits["choices"][0]
    params = {name: values[0] for name, values in chosen["params"].items()}
    action = {"round_id": waits["round_id"], "action_id": "a1", "action": chosen["action"], "params": params}
    async with opened(base_url, player.token) as socket:
        assert (await socket.push("round"))["round"] == waits, "as it was left"
        sent = await socket.send("action", **action)
        if moment == "action read":
            await sent
        socket.connection.transport.abort()
    async with opened(base_url, player.token) as socket:
        after = await socket.ask("action", **action)
    assert [taken["action_id"] for taken in after["round"]["actions"]] == ["a1"]
    acted = "SELECT count(*) FROM round_actions WHERE player_key = $1 AND round_id = $2"
    assert await database.pool.fetchval(acted, player.claims.player_key, waits["round_id"]) == 1


async def _dropped_until_one_waits(base_url: str, player: Player, moment: str) -> dict[str, Any]:
    """A round that waits for its player, whose socket was dropped after its bet."""
    for _ in range(100):
        wager = player.wager()
        async with opened(base_url, player.token) as socket:
            sent = await socket.send("bet", **wager)
            if moment != "bet sent":
                await sent
            socket.connection.transport.abort()
        async with opened(base_url, player.token) as socket:
            round_: dict[str, Any] = (await socket.ask("bet", **wager))["round"]
        if round_["state"] == "awaiting_choice":
            return round_
    raise AssertionError("no round waits")


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
        reader, writer, hello = await _greeted(quick.base_url, player.token)
        assert json.loads(hello)["heartbeat_s"] == QUICK_HEARTBEAT_S
        async with asyncio.timeout(HANG_S):
            kind, length = await reader.readexactly(2)
            assert kind == PING
            rest = await reader.read()  # until it is cut
        assert len(rest) >= length
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
    async with connect(address(base_url), compression=None) as connection:
        await connection.send(hello)
        return bool(json.loads(await connection.recv())["type"] == "hello")


async def test_many_idle_sockets_take_little_memory_and_no_more_are_taken(
    other: Ingress, operator: Operator, full: bool
) -> None:
    count = _idle(full)
    ingress = psutil.Process(other.running.pid)
    players = [await operator.open_session() for _ in range(count // 5)]
    before = ingress.memory_info().rss
    held: list[asyncio.Task[None]] = []
    for player in players:
        held += await asyncio.gather(*(_hold(other.base_url, player.token) for _ in range(5)))
    grown_mib = (ingress.memory_info().rss - before) / 2**20
    print(f"{grown_mib:.1f} MiB for {count} idle sockets")  # noqa: T201
    last = await operator.open_session()
    held += [await _hold(other.base_url, last.token) for _ in range(SPARE)]
    with pytest.raises(InvalidStatus) as one_too_many:
        async with connect(address(other.base_url)):
            pass
    assert one_too_many.value.response.status_code == 503
    assert json.loads(one_too_many.value.response.body)["code"] == "overloaded"
    assert not any(socket.done() for socket in held), "one was closed, and its place was free"
    for socket in held:
        socket.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert grown_mib < 150 * count / 1_000, f"{grown_mib:.0f} MiB for {count} sockets"


async def _hold(base_url: str, token: str) -> asyncio.Task[None]:
    """A socket after its hello, which costs this process next to nothing, until its task is cancelled."""
    reader, writer, _ = await _greeted(base_url, token)
    return asyncio.create_task(_answer_pings(reader, writer))


async def _greeted(base_url: str, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """A socket without a library that would answer pings, and what its hello was answered with."""
    reader, writer = await _connection(base_url)
    hello = json.dumps({"type": "hello", "token": token}).encode()
    writer.write(b"\x81\xfe" + len(hello).to_bytes(2, "big") + bytes(4) + hello)
    _, length = await reader.readexactly(2)
    answer = await reader.readexactly(length & 0x7F)
    assert b'"hello"' in answer
    return reader, writer, answer


async def _answer_pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the other side closes the socket."""
    try:
        while True:
            kind, length = await reader.readexactly(2)
            if kind != PING:
                return
            writer.write(bytes((0x8A, 0x80 | length, 0, 0, 0, 0)) + await reader.readexactly(length))
    finally:
        writer.close()


async def _connection(base_url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET /v1/game/ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def _idle(full: bool) -> int:
    return 1_000 if full else 300


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


# The end of a process


async def test_a_stopping_ingress_answers_what_was_asked_and_sends_its_clients_elsewhere(
    services: Services, base_url: str, player: Player, database: Database
) -> None:
    async with (
        one_more_ingress(services.stack, "stopping-ingress") as ingress,
        opened(ingress.base_url, player.token) as socket,
    ):
        async with database.pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE transfers IN EXCLUSIVE MODE")
            bet = await socket.send("bet", **player.wager())
            await until(lambda: waiting_for_a_lock(database))
            stopping = asyncio.create_task(ingress.running.stop())
            await until(lambda: _refuses_connections(ingress.base_url))
            assert not bet.done()
        played = (await bet)["round"]
        assert played["state"] == "settled"
        assert await socket.closed() == 1012
        await stopping
    async with opened(base_url, player.token, last_sequence=0) as elsewhere:
        assert (await elsewhere.push("round"))["round"] == played


async def _refuses_connections(base_url: str) -> bool:
    try:
        _, writer = await asyncio.open_connection(*base_url.removeprefix("http://").split(":"))
    except ConnectionRefusedError:
        return True
    writer.close()
    return False
