"""The operator's feed over HTTP: every event once and in order, and nobody else's."""

import asyncio
import json
from typing import Any

import aio_pika

from events.topology import EVENTS_EXCHANGE
from tests.e2e.parties import Gateway, Operator, Player, checked_problem
from tests.integration.events_on_broker import channel_to
from tests.support.conditions import HANG_S, until


async def _page(operator: Operator, after: str | None = None, *, limit: int = 100) -> dict[str, Any]:
    params = {"limit": limit} | ({} if after is None else {"after": after})
    response = await operator.call("GET", "/events", params=params)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    assert set(body) == {"items", "next_cursor"}
    return body


async def _all(operator: Operator, after: str | None = None, *, limit: int = 100) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    while True:
        page = await _page(operator, after, limit=limit)
        items += page["items"]
        if not page["items"]:
            assert after is None or page["next_cursor"] == after, "the end stays where it is"
            return items
        after = page["next_cursor"]


async def _all_with(
    operator: Operator, round_: dict[str, Any], after: str | None = None, *, limit: int = 100
) -> list[dict[str, Any]]:
    """The same, once the round is among them: a page shows what nothing holds up within a second."""

    async def found() -> list[dict[str, Any]]:
        items = await _all(operator, after, limit=limit)
        return items if round_["round_id"] in {item["subject"] for item in items} else []

    return await until(found)


async def test_an_operator_pages_through_all_its_events(rival: Operator) -> None:
    player = await rival.open_session(balance=10_000)
    played = [await player.played() for _ in range(5)]
    items = await _all_with(rival, played[-1], limit=2)
    settled = [item for item in items if item["type"] == "round.settled"]
    assert [item["subject"] for item in settled][-5:] == [round_["round_id"] for round_ in played]
    assert len({item["id"] for item in items}) == len(items)
    assert items == await _all(rival)


async def test_a_poller_goes_on_from_the_end(rival: Operator) -> None:
    player = await rival.open_session(balance=10_000)
    await _all_with(rival, await player.played())
    cursor = None
    while (page := await _page(rival, cursor))["items"]:
        cursor = page["next_cursor"]
    cursor = page["next_cursor"]
    round_ = await player.played()

    async def more() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await _page(rival, cursor))["items"]
        return items

    following = await until(more)
    assert [(item["type"], item["subject"]) for item in following] == [("round.settled", round_["round_id"])]


async def test_the_feed_shows_what_the_broker_carries(operator: Operator, amqp_url: str) -> None:
    own = await operator.gateway.new_operator()
    player = await own.open_session(balance=10_000)
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        if json.loads(message.body)["data"]["player_id"] == player.player_id:
            heard.put_nowait(message.body)

    async with channel_to(amqp_url) as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EVENTS_EXCHANGE, f"{own.operator_id}.dice.round.settled")
        await queue.consume(hear, no_ack=True)
        round_ = await player.played()
        body = await asyncio.wait_for(heard.get(), HANG_S)
    event_id = json.loads(body)["id"]
    assert [item for item in await _all_with(own, round_) if item["id"] == event_id] == [json.loads(body)]


async def test_another_operators_events_never_show(gateway: Gateway) -> None:
    operator, rival = await gateway.new_operator(), await gateway.new_operator()
    mine, theirs = await operator.open_session(balance=1_000), await rival.open_session(balance=1_000)
    rounds = [await mine.played(), await theirs.played()]
    for (one, other), round_ in zip(((operator, rival), (rival, operator)), rounds, strict=True):
        items = await _all_with(one, round_)
        assert {item["operator"] for item in items} == {one.operator_id}
        assert other.operator_id not in json.dumps(items)


async def test_a_place_in_anothers_feed_is_no_way_into_it(operator: Operator, rival: Operator) -> None:
    """A cursor is a place, and no key: with another's cursor an operator still reads its own events alone."""
    await (await operator.open_session(balance=1_000)).played()
    page = await _page(operator, limit=1)
    round_ = await (await rival.open_session(balance=1_000)).played()
    items = await _all_with(rival, round_, page["next_cursor"])
    assert {item["operator"] for item in items} == {rival.operator_id}


async def test_a_new_operator_has_an_empty_feed(operator: Operator) -> None:
    fresh = await operator.gateway.new_operator()
    page = await _page(fresh)
    assert page["items"] == []
    assert await _page(fresh, page["next_cursor"]) == page


async def test_what_is_no_cursor_or_limit_is_refused(operator: Operator, player: Player) -> None:
    for params in ({"after": "x"}, {"limit": 0}, {"limit": 501}, {"after": ""}, {"cursor": "cjA"}):
        checked_problem(await operator.call("GET", "/events", params=params), 422, "invalid")
    with_token = Operator(operator.gateway, operator.operator_id, player.token)
    checked_problem(await with_token.call("GET", "/events"), 401, "unauthenticated")
