"""What a game client tells of itself over HTTP: all of a call or nothing, each event once."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import aio_pika
import pytest

from events.topology import EVENTS_EXCHANGE
from tests.e2e.parties import Operator, Player, checked_problem
from tests.integration.events_on_broker import channel_to
from tests.support.conditions import HANG_S, until


def event(**changes: Any) -> dict[str, Any]:
    known = {"event_id": uuid4().hex, "type": "ui.spin", "at": "2026-11-23T01:00:00Z", "data": {"reel": 1}}
    return {**known, **changes}


async def tell(player: Player, *events: Any) -> Any:
    return await player.call("POST", "/events", json={"events": list(events)})


async def told_of(operator: Operator, player: Player) -> list[dict[str, Any]]:
    rows = await operator.gateway.database.pool.fetch(
        "SELECT data FROM outbox WHERE player_key = $1 AND type = 'game.event' ORDER BY id",
        player.claims.player_key,
    )
    return [row["data"] for row in rows]


async def test_events_are_recorded_once_and_their_operator_hears_them(
    operator: Operator, player: Player, amqp_url: str
) -> None:
    """By the broker, within about a second."""
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        body = json.loads(message.body)
        if body["data"]["player_id"] == player.player_id:
            heard.put_nowait(body)

    one = event()
    async with channel_to(amqp_url) as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EVENTS_EXCHANGE, f"{operator.operator_id}.dice.game.event")
        await queue.consume(hear, no_ack=True)
        for _ in range(2):
            response = await tell(player, one, event(event_id="another"))
            assert (response.status_code, response.json()) == (202, {"accepted": 2})
        bodies = [await asyncio.wait_for(heard.get(), HANG_S) for _ in range(2)]
    assert heard.empty()
    assert {body["type"] for body in bodies} == {"game.event"}
    assert {body["subject"] for body in bodies} == {player.player_id}
    data = await told_of(operator, player)
    assert [told["event_id"] for told in data] == [one["event_id"], "another"]
    assert data[0] == {
        "player_id": player.player_id,
        "session_id": player.session_id,
        "game": {"id": "dice"},
        **one,
        "at": "2026-11-23T01:00:00.000000+00:00",
    }


async def test_the_same_moment_in_another_zone_is_the_same_event(operator: Operator, player: Player) -> None:
    one = event(at="2026-11-23T01:00:00.5Z")
    for at in (one["at"], "2026-11-23T03:00:00.500000+02:00"):
        assert (await tell(player, {**one, "at": at})).status_code == 202
    assert len(await told_of(operator, player)) == 1


async def test_an_id_with_other_contents_is_refused_and_names_it(operator: Operator, player: Player) -> None:
    one = event()
    assert (await tell(player, one)).status_code == 202
    refused = await tell(player, event(), {**one, "data": {}})
    assert one["event_id"] in checked_problem(refused, 422, "id-reused")["detail"]
    assert len(await told_of(operator, player)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        event(type="Spin"),
        event(type=""),
        event(type="a" * 65),
        event(event_id="a b"),
        event(at="yesterday"),
        event(at="2026-11-23"),
        event(at="2026-11-23T01:00:00"),
        event(at="2026-02-30T01:00:00Z"),
        event(at="0001-01-01T00:00:00+23:59"),
        event(at=1_700_000_000),
        event(data=[]),
        event(data=None),
        event(data={"text": "x" * 4_096}),
        event(extra=1),
        {"event_id": "a"},
        "event",
    ],
)
async def test_what_is_no_event_is_refused_and_nothing_recorded(
    operator: Operator, player: Player, wrong: Any
) -> None:
    checked_problem(await tell(player, event(), wrong), 422, "invalid")
    assert await told_of(operator, player) == []


async def test_a_call_tells_one_to_fifty(operator: Operator, player: Player) -> None:
    checked_problem(await tell(player), 422, "invalid")
    checked_problem(await tell(player, *(event() for _ in range(51))), 422, "invalid")
    assert (await tell(player, *(event() for _ in range(50)))).status_code == 202
    assert len(await told_of(operator, player)) == 50


async def test_a_session_that_tells_too_much_waits(operator: Operator, player: Player) -> None:
    for _ in range(6):
        assert (await tell(player, *(event() for _ in range(50)))).status_code == 202
    last = event()
    refused = await tell(player, last)
    assert checked_problem(refused, 429, "too-many-requests")["retry_after"] > 0
    assert int(refused.headers["retry-after"]) > 0
    assert len(await told_of(operator, player)) == 300
    another = await operator.open_session(player.player_id)
    assert (await tell(another, last)).status_code == 202


async def test_an_expired_token_may_still_tell_and_no_stranger(operator: Operator, player: Player) -> None:
    assert (await tell(player.expired(), event())).status_code == 202
    checked_problem(await tell(player.with_token("x"), event()), 401, "unauthenticated")
    stranger = player.with_claims(session_id=uuid4().hex)
    checked_problem(await tell(stranger, event()), 401, "unauthenticated")
    assert len(await told_of(operator, player)) == 1


async def test_what_the_operator_does_is_in_its_feed_and_heard(operator: Operator, amqp_url: str) -> None:
    """Deposit, withdrawal, session and decline of one player, in the feed and on the broker alike."""
    fresh = await operator.gateway.new_operator()
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        heard.put_nowait(json.loads(message.body))

    async with channel_to(amqp_url) as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EVENTS_EXCHANGE, f"{fresh.operator_id}.#")
        await queue.consume(hear, no_ack=True)
        player = await fresh.open_session(balance=100)
        checked_problem(await player.bet(stake=200), 402, "insufficient-funds")
        body = {"transaction_id": "w", "amount": {"amount": 40, "currency": "EUR"}}
        await fresh.call("POST", f"/players/{player.player_id}/withdrawals", json=body)
        await fresh.call("DELETE", f"/sessions/{player.session_id}")
        bodies = [await asyncio.wait_for(heard.get(), HANG_S) for _ in range(5)]

    async def all_of_it() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await fresh.call("GET", "/events")).json()["items"]
        return items if len(items) >= 5 else []

    feed = await until(all_of_it)
    assert [item["type"] for item in feed] == [
        "session.opened",
        "wallet.deposited",
        "round.declined",
        "wallet.withdrawn",
        "session.ended",
    ]
    assert [item["sequence"] for item in feed] == [1, 2, 3, 4, 5]
    assert sorted(bodies, key=lambda item: int(item["sequence"])) == feed
