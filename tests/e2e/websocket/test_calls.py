"""The game client's socket: the same calls as over HTTP."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

from api.session.schemas import SessionOut
from api.transports.websocket import server
from storage import rounds
from storage.database import Database
from tests.e2e.parties import Operator, Player, checked_round
from tests.e2e.websocket.answers import in_ledger, problem_of
from tests.support.conditions import until
from tests.support.ledger import waiting_for_a_lock
from tests.support.sockets import Socket, opened

pytestmark = pytest.mark.usefixtures("told")
# How many seconds a token may last until it is used: more where the machine was too slow for less.
LONGER_AND_LONGER_S: Final = (2, 8, 32)


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


async def test_identical_bets_over_a_socket_and_over_http_are_one_round(
    socket: Socket, player: Player, database: Database
) -> None:
    wager = player.wager()
    over_socket = [await socket.send("bet", **wager) for _ in range(40)]
    over_http = await asyncio.gather(*(player.bet(**wager) for _ in range(40)))
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
