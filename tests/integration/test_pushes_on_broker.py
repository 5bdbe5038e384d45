"""A push that cannot be read costs itself alone: those behind it come over the same queue."""

import json
from collections.abc import AsyncIterator
from typing import Final

import pytest
from aio_pika.exceptions import AMQPException

from events import pushes
from events.pushes import PlayerName, Push, PushLink, RoundChanged
from events.topology import PUSHES_EXCHANGE
from tests.integration.events_on_broker import channel_to, fresh_operator, until
from tests.support import conditions
from tests.support.conditions import HANG_S
from tests.support.raw_properties import HEADERS, NESTED, TYPE, long_text, publish_raw, short, table

CHANGED: Final = short(pushes.ROUND_CHANGED.encode())
BAD: Final[dict[str, tuple[bytes, dict[int, bytes]]]] = {
    "a type of bytes": (b"{}", {TYPE: short(b"\xff\xfe")}),
    "headers of bytes": (b"{}", {TYPE: CHANGED, HEADERS: table((b"a", long_text(b"\xff")))}),
    "headers nested without end": (b"{}", {TYPE: CHANGED, HEADERS: NESTED}),
    "headers of thousands": (
        b"{}",
        {TYPE: CHANGED, HEADERS: table((b"a", b"A" + (100_000).to_bytes(4, "big") + b"V" * 100_000))},
    ),
    "a body nested without end": (b"[" * 100_000, {TYPE: CHANGED}),
    "no UTF-8": (b"\xff", {TYPE: CHANGED}),
    "a number as the player": (b'{"operator": "o", "player_id": 7, "round_id": "r"}', {TYPE: CHANGED}),
}


class Listener:
    """A process where Anna has a socket."""

    def __init__(self, amqp_url: str) -> None:
        self.player = PlayerName(operator_id=fresh_operator(), player_id="anna")
        self.heard: list[Push] = []
        self.restored = 0
        self.link = PushLink(amqp_url, self.heard.append, self._note)

    def _note(self) -> None:
        self.restored += 1


@pytest.fixture
async def listener(amqp_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listener]:
    monkeypatch.setattr(pushes, "BIND_SECONDS", HANG_S)
    made = Listener(amqp_url)
    made.link.start()
    await until(lambda: made.link.connected)
    await made.link.follow(made.player)
    yield made
    await made.link.close()


@pytest.mark.parametrize(("body", "fields"), BAD.values(), ids=BAD)
async def test_a_bad_push_costs_itself_alone(
    listener: Listener, amqp_url: str, body: bytes, fields: dict[int, bytes]
) -> None:
    player = listener.player
    async with channel_to(amqp_url) as channel:
        await publish_raw(channel, PUSHES_EXCHANGE, player.key, body, fields)
        good = {"operator": player.operator_id, "player_id": "anna", "round_id": "r-1"}
        await publish_raw(channel, PUSHES_EXCHANGE, player.key, json.dumps(good).encode(), {TYPE: CHANGED})
    await until(lambda: listener.heard)
    assert listener.heard == [RoundChanged(player=player, round_id="r-1", final=False)]
    assert listener.restored == 1


async def test_a_binding_that_somebody_deletes_is_made_again(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As all are with their exchange, of which the broker says nothing."""
    link, player = listener.link, listener.player
    monkeypatch.setattr(pushes, "CHECK_SECONDS", 2.0)  # from the next reconnection on
    link._lost.set()
    await until(lambda: listener.restored >= 2)

    async def unbound() -> int:
        """How often it was restored before that, if one and the same queue has lost both of its bindings."""
        restored, queue = listener.restored, link._queue
        if queue is None:
            return 0
        try:
            for key in (player.key, link._own_key):
                await queue.unbind(PUSHES_EXCHANGE, key)
        except AMQPException:  # the check found the broker too slow: there is a next queue
            return 0
        return restored

    restored = await conditions.until(unbound)

    async def pushed() -> bool:
        link.push_round(player, "r-1")
        return bool(listener.heard)

    await conditions.until(pushed)
    assert listener.restored > restored
