"""What /asyncapi.json says is what comes over the broker and over sockets."""

import json
from typing import Any

import jsonschema_rs
import pytest
from websockets.asyncio.client import connect

from tests.e2e.parties import OVER_HALF, Gateway
from tests.support.conditions import until
from tests.support.queue_caller import calling


class Judge:
    """Validates real messages against what is described."""

    def __init__(self, described: dict[str, Any]) -> None:
        self._described = described
        self.by_type = {
            message["name"]: name
            for name, message in described["components"]["messages"].items()
            if name.endswith("Event")
        }

    def check(self, name: str, body: Any, headers: dict[str, Any] | None = None) -> None:
        message = self._described["components"]["messages"][name]
        self._validate(message["payload"], body)
        if headers is not None:
            self._validate(message["headers"], headers)

    def check_told(self, message: dict[str, Any]) -> str:
        """The name of what a socket told."""
        kind = "".join(word.capitalize() for word in message["type"].split("-"))
        name = kind + ("Answer" if "id" in message or kind == "Hello" else "Push")
        self.check(name, message)
        return name

    def _validate(self, schema: dict[str, Any], body: Any) -> None:
        components = self._described["components"]
        jsonschema_rs.Draft202012Validator(
            {**schema, "components": components}, validate_formats=True
        ).validate(body)


@pytest.fixture(scope="module")
async def judge(gateway: Gateway) -> Judge:
    response = await gateway.http.get("/asyncapi.json")
    assert response.status_code == 200
    return Judge(response.json())


async def test_events_are_as_described(gateway: Gateway, judge: Judge) -> None:
    operator = await gateway.new_operator()
    player = await operator.open_session(balance=1_000)
    await player.played()
    money = {"transaction_id": "w-1", "amount": {"amount": 1, "currency": "EUR"}}
    await operator.call("POST", f"/players/{player.player_id}/withdrawals", json=money)
    assert (await player.bet(stake=100_000)).status_code == 402
    event = {"event_id": "e-1", "type": "clicked", "at": "2026-11-22T16:56:52Z", "data": {"x": 1}}
    assert (await player.call("POST", "/events", json={"events": [event]})).status_code == 202
    await operator.call("DELETE", f"/sessions/{player.session_id}")

    async def all_of_it() -> list[dict[str, Any]]:
        """Once the last is there: a page shows what nothing holds up within a second."""
        items: list[dict[str, Any]] = (await operator.call("GET", "/events")).json()["items"]
        return items if "session.ended" in {item["type"] for item in items} else []

    items = await until(all_of_it)
    for item in items:
        judge.check(judge.by_type[item["type"]], item)
    assert {item["type"] for item in items} >= {
        "session.opened", "wallet.deposited", "round.settled", "wallet.withdrawn", "round.declined",
        "game.event", "session.ended",
    }  # fmt: skip


async def test_messages_of_a_socket_are_as_described(gateway: Gateway, told: None, judge: Judge) -> None:
    player = await (await gateway.new_operator()).open_session(balance=150)
    url = gateway.http.base_url.copy_with(scheme="ws", path="/v1/game/ws")
    async with connect(str(url)) as socket:

        async def ask(name: str, message: dict[str, Any]) -> str:
            judge.check(name, message)
            await socket.send(json.dumps(message))
            return judge.check_told(json.loads(await socket.recv()))

        assert await ask("Hello", {"type": "hello", "token": player.token}) == "HelloAnswer"
        bet = {"type": "bet", "id": "1", "round_id": "s-1", "stake": 100, "choice": OVER_HALF}
        assert await ask("BetMessage", bet) == "RoundAnswer"
        assert await ask("BetMessage", {**bet, "id": "2", "stake": 200}) == "ProblemAnswer"
        action = {"type": "action", "id": "3", "round_id": "s-1", "action_id": "a-1", "action": "collect"}
        assert await ask("ActionMessage", action) == "ProblemAnswer"
        assert await ask("RoundMessage", {"type": "round", "id": "4", "round_id": "s-1"}) == "RoundAnswer"
        assert await ask("BalanceMessage", {"type": "balance", "id": "5"}) == "BalanceAnswer"
        assert await ask("SessionMessage", {"type": "session", "id": "6"}) == "SessionAnswer"
        assert await ask("PingMessage", {"type": "ping", "id": "7"}) == "PongAnswer"
        await player.deposit(1_000)
        await player.played()
        pushed = {judge.check_told(json.loads(await socket.recv())) for _ in range(2)}
        assert pushed == {"RoundPush", "BalancePush"}
        await player.operator.call("DELETE", f"/sessions/{player.session_id}")
        assert judge.check_told(json.loads(await socket.recv())) == "SessionEndedPush"


async def test_commands_and_their_answers_are_as_described(
    gateway: Gateway, amqp_url: str, judge: Judge
) -> None:
    player = await (await gateway.new_operator()).open_session(balance=150)
    command = {"session_token": player.token, "round_id": "q-1", "stake": 100, "choice": OVER_HALF}
    judge.check("SubmitRound", command)
    async with calling(amqp_url) as caller:
        for round_id, name in (("q-1", "CommandRound"), ("q-1", "CommandRound"), ("q-2", "CommandProblem")):
            stake = 100 if name == "CommandRound" else 1_000
            answer = await caller.ask({**command, "round_id": round_id, "stake": stake})
            judge.check(name, json.loads(answer.body), dict(answer.headers))
