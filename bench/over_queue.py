"""Players over the broker's queue: one AMQP connection, one channel, and the direct reply-to for the answers.

As a game server would do it: its players share a connection, and each answer finds its player by its
correlation id. Commands are persistent, and not confirmed one by one: the answer says more than a confirm.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final, Protocol, Self

import aiormq
from aiormq import spec
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

from bench.wire import PLACEHOLDER, Request
from events.commands import COMMANDS_EXCHANGE, STATUS_HEADER

DIRECT_REPLY: Final = "amq.rabbitmq.reply-to"
SCHEMES: Final = ("amqp://", "amqps://")
PERSISTENT: Final = 2


class Listener(Protocol):
    """Gets the result of each round; bench.load.Run is one."""

    def answered(self, player: QueuePlayer, since: float, status: int, body: bytes, /) -> None: ...
    def lost(self, player: QueuePlayer, since: float | None, request: Request, /) -> None: ...


class QueuePlayer:
    """One player, with at most one round under way."""

    def __init__(self, line: Line, request: Request) -> None:
        self._line, self.request = line, request
        self._parts = json.dumps(request.body, separators=(",", ":")).encode("ascii").split(_CUT)
        self.since: float | None = None  # from when the round under way counts
        self.round_id = b""

    def send(self, since: float, round_id: bytes) -> None:
        assert self.since is None, "one round at a time"
        self.since, self.round_id = since, round_id
        self._line.send(self, round_id.join(self._parts))

    def close(self) -> None:
        self._line.leave(self)


class Line:
    """The connection that the players share."""

    def __init__(self, connection: AbstractConnection, channel: AbstractChannel, listener: Listener) -> None:
        self._connection, self._channel, self._listener = connection, channel, listener
        self._players: set[QueuePlayer] = set()
        self._under_way: dict[str, QueuePlayer] = {}
        self._sending: set[asyncio.Task[None]] = set()
        connection.closing.add_done_callback(lambda _: self._lost())

    @classmethod
    async def open(cls, url: str, listener: Listener) -> Self:
        """Raises OSError when no server listens."""
        connection = await aiormq.connect(url)
        channel = await connection.channel(publisher_confirms=False)
        line = cls(connection, channel, listener)
        await channel.basic_consume(DIRECT_REPLY, line._heard, no_ack=True)
        return line

    def seat(self, request: Request) -> QueuePlayer:
        """Raises OSError when the connection is lost."""
        if self._connection.is_closed:
            raise ConnectionError("the broker closed the connection")
        player = QueuePlayer(self, request)
        self._players.add(player)
        return player

    def leave(self, player: QueuePlayer) -> None:
        self._players.discard(player)
        self._under_way.pop(player.round_id.decode("ascii"), None)

    async def close(self) -> None:
        self._players.clear()
        await self._connection.close()

    def send(self, player: QueuePlayer, body: bytes) -> None:
        round_id = player.round_id.decode("ascii")
        self._under_way[round_id] = player
        task = asyncio.get_running_loop().create_task(self._publish(player.request.path, body, round_id))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _publish(self, routing_key: str, body: bytes, round_id: str) -> None:
        properties = spec.Basic.Properties(
            content_type="application/json",
            delivery_mode=PERSISTENT,
            reply_to=DIRECT_REPLY,
            correlation_id=round_id,
        )
        await self._channel.basic_publish(
            body, exchange=COMMANDS_EXCHANGE, routing_key=routing_key, properties=properties
        )

    async def _heard(self, message: DeliveredMessage) -> None:
        properties = message.header.properties
        player = self._under_way.pop(properties.correlation_id or "", None)
        if player is None or player.since is None:
            return
        since, player.since = player.since, None
        status = (properties.headers or {}).get(STATUS_HEADER)
        assert isinstance(status, int), "every answer has a status"
        self._listener.answered(player, since, status, message.body)

    def _lost(self) -> None:
        players, self._players = self._players, set()
        for player in players:
            self._listener.lost(player, player.since, player.request)


_CUT: Final = PLACEHOLDER.encode("ascii")
