"""One request id from a client's call to the webhook: in the answer, the round, its workflow and event."""

import re
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import pytest

from contracts.rounds import Bet
from tests.e2e.choices import act, open_round
from tests.e2e.parties import Gateway, Operator, Player
from tests.support.conditions import until
from tests.support.queue_caller import QueueCaller, calling
from tests.support.receiver import Receiver, receiving
from tests.support.sockets import opened

OURS: Final = "[0-9a-f]{32}"


@pytest.fixture
async def own(gateway: Gateway) -> Operator:
    """An operator of the test alone: a webhook gets all of its operator's events."""
    return await gateway.new_operator()


@pytest.fixture
async def told(own: Operator) -> AsyncIterator[Receiver]:
    """A webhook of the operator's."""
    async with receiving() as receiver:
        made = await own.call("POST", "/webhooks", json={"url": receiver.url})
        own.gateway.secrets.append(made.json()["secret"])
        yield receiver


async def bet_of(gateway: Gateway, player: Player, round_id: str) -> Bet:
    """As the round's workflow was started with it."""
    handle = gateway.temporal.get_workflow_handle(player.round_key(round_id).workflow_id)
    first = await anext(aiter(handle.fetch_history_events(page_size=1)))
    payloads = first.workflow_execution_started_event_attributes.input.payloads
    (bet,) = await gateway.temporal.data_converter.decode(payloads, [Bet])
    assert isinstance(bet, Bet)
    return bet


async def events_of(operator: Operator, round_id: str) -> dict[str, Any]:
    """What the feed has of a round, by type."""

    async def there() -> dict[str, Any]:
        items = (await operator.call("GET", "/events")).json()["items"]
        found = {item["type"]: item["data"] for item in items if item["subject"] == round_id}
        return found if "round.settled" in found else {}

    return await until(there)


async def stored(gateway: Gateway, round_id: str) -> str:
    return str(
        await gateway.database.pool.fetchval("SELECT request_id FROM rounds WHERE round_id = $1", round_id)
    )


async def test_over_http_every_hop_has_the_id_that_the_answer_has(
    gateway: Gateway, own: Operator, told: Receiver
) -> None:
    player, round_id = await own.open_session(balance=1_000), uuid4().hex
    wager = player.wager(round_id)
    answer = await player.call("POST", "/rounds", json=wager, headers={"X-Request-Id": "checkout-7"})
    assert answer.status_code == 201
    request_id = answer.headers["x-request-id"]
    assert re.fullmatch(f"checkout-7[.]{OURS}", request_id)
    assert await stored(gateway, round_id) == request_id
    assert (await bet_of(gateway, player, round_id)).request_id == request_id
    assert (await events_of(own, round_id))["round.settled"]["request_id"] == request_id

    async def delivered() -> bool:
        return any(got.event["type"] == "round.settled" for got in told.received)

    await until(delivered)
    for got in told.received:
        of_a_round = got.event["type"] == "round.settled"
        assert got.headers.get("x-request-id") == (request_id if of_a_round else None)
        assert got.event["data"].get("request_id") == (request_id if of_a_round else None)


async def test_a_repeat_under_the_same_name_is_told_from_the_first_and_leaves_the_rounds_id(
    gateway: Gateway, player: Player
) -> None:
    wager, named = player.wager(), {"X-Request-Id": "checkout-7"}
    first = await player.call("POST", "/rounds", json=wager, headers=named)
    again = await player.call("POST", "/rounds", json=wager, headers=named)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    assert await stored(gateway, wager["round_id"]) == first.headers["x-request-id"]


async def test_an_action_has_its_own_id_and_the_rounds_events_that_of_the_bet(own: Operator) -> None:
    player = await own.open_session(game_id="lucky-fruits", balance=100_000)
    opened_round = await open_round(player)
    await act(player, opened_round["round_id"], "collect")
    found = await events_of(own, opened_round["round_id"])
    bets = await stored(own.gateway, opened_round["round_id"])
    assert {data["request_id"] for data in found.values()} == {bets}
    assert set(found) == {"round.opened", "round.settled"}


async def test_over_a_socket_it_begins_with_the_messages_own(
    gateway: Gateway, platform: dict[str, Any], player: Player
) -> None:
    async with opened(platform["base_url"], player.token) as socket:
        wager = player.wager()
        answer = await socket.ask("bet", **wager)
        assert answer["type"] == "round", answer
        assert re.fullmatch(f"{answer['id']}[.]{OURS}", await stored(gateway, wager["round_id"]))
        refused = await socket.ask("round", round_id="nowhere")
        assert re.fullmatch(f"{refused['id']}[.]{OURS}", refused["problem"]["request_id"])


@pytest.fixture
async def caller(platform: dict[str, Any], amqp_url: str) -> AsyncIterator[QueueCaller]:
    async with calling(amqp_url) as caller:
        yield caller


async def test_over_the_queue_it_begins_with_the_commands_own(
    gateway: Gateway, caller: QueueCaller, player: Player
) -> None:
    for properties in ({}, {"headers": {"X-Request-Id": "shop-1"}}, {"headers": {"X-Request-Id": 5}}):
        wager = player.wager()
        answer = await caller.ask({"session_token": player.token, **wager}, **properties)
        request_id = await stored(gateway, wager["round_id"])
        assert answer.headers["X-Request-Id"] == request_id
        given = properties.get("headers", {}).get("X-Request-Id", answer.correlation_id)
        begins = f"{given}[.]" if isinstance(given, str) else ""
        assert re.fullmatch(f"{begins}{OURS}", request_id)
