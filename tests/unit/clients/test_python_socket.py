"""The Python client's socket at a server of the test's own: what is final, and what is given up."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from croupier_client import Decision, GameSocket, InsufficientFunds, Patience, Round, RoundState, Unanswered
from websockets.asyncio.server import ServerConnection, serve

from tests.support.conditions import HANG_S
from tests.unit.clients.test_python_client import BODY

Answer = Callable[[dict[str, Any]], dict[str, Any] | str]


@asynccontextmanager
async def casino(answer: Answer) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Its address, and what it was asked. It answers as `answer` says, and a text as it is."""
    asked: list[dict[str, Any]] = []

    async def speak(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(json.dumps({"type": "hello", "sequence": 0}))
        async for text in connection:
            asked.append(message := json.loads(text))
            said = answer(message)
            await connection.send(
                said if isinstance(said, str) else json.dumps({"id": message["id"], **said})
            )

    async with serve(speak, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def in_state(state: str) -> dict[str, Any]:
    return {"type": "round", "round": BODY | {"state": state, "sequence": None}}


@pytest.mark.parametrize("state", ["pending", "settling"])
async def test_a_bet_that_nobody_ends_is_given_up_with_its_id(state: str) -> None:
    async with (
        asyncio.timeout(HANG_S),
        casino(lambda _: in_state(state)) as (url, _),
        GameSocket(url, "token", patience=Patience(total_s=0.5)) as socket,
    ):
        with pytest.raises(Unanswered) as given_up:
            await socket.bet(100, round_id="r-1")
    assert given_up.value.ids == {"round_id": "r-1"}


async def test_a_bet_goes_on_until_its_round_has_ended() -> None:
    states = iter(["pending", "settling", "settled"])
    async with (
        asyncio.timeout(HANG_S),
        casino(lambda _: in_state(next(states))) as (url, asked),
        GameSocket(url, "token") as socket,
    ):
        assert (await socket.bet(100)).state is RoundState.SETTLED
    assert [message["round_id"] for message in asked] == [asked[0]["round_id"]] * 3


async def test_an_open_round_is_finished_when_it_has_ended() -> None:
    states = iter(["settling", "settled"])
    begun = Round.parse(in_state("settling")["round"])
    async with (
        asyncio.timeout(HANG_S),
        casino(lambda _: in_state(next(states))) as (url, asked),
        GameSocket(url, "token") as socket,
    ):
        round_ = await socket.finish(begun, lambda _: Decision("collect"))
    assert round_.state is RoundState.SETTLED
    assert [message["type"] for message in asked] == ["round", "round"]


async def test_refusals_are_those_of_the_one_table() -> None:
    problems = iter(
        [
            {"status": 502, "code": "wallet-failed", "retry_after": 0},
            {"status": 503, "code": "overloaded", "retry_after": 0},
            {"status": 529, "code": "of-tomorrow", "retry_after": 0},
            {"status": 402, "code": "insufficient-funds"},
        ]
    )
    said = casino(lambda _: {"type": "problem", "problem": next(problems)})
    async with said as (url, asked), asyncio.timeout(HANG_S), GameSocket(url, "token") as socket:
        with pytest.raises(InsufficientFunds):
            await socket.bet(100)
    assert len(asked) == 4


async def test_what_is_not_the_casino_is_left_and_another_connection_made() -> None:
    said: Any = iter(["<html>", "[]", {"type": "pong"}])
    patience = Patience(first_pause_s=0.001)
    async with (
        asyncio.timeout(HANG_S),
        casino(lambda _: next(said)) as (url, _),
        GameSocket(url, "token", patience=patience) as socket,
    ):
        await socket.ping()
        assert socket.connections == 3
