"""Pushes to players' sockets: the messages that ingress processes send each other through the broker.

A closed round needs no message of its own: its event carries a second routing key, its player's, which leads
through PUSHES_EXCHANGE to the queue of each process where that player has a socket. A change without an event
is published there as a message of its own. A push holds only ids; its receiver reads the round from the
ledger.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from events import topology
from events.broker import CONNECT_SECONDS, LinkLost, end_tasks, link_errors_as_one, when_lost
from events.catalogue import ROUND_SETTLED, ROUND_VOID, push_key
from events.connection import BrokerConnection

ROUND_CHANGED: Final = "push.round"
SESSION_ENDED: Final = "push.session-ended"
# Every process gets the end of every session: there are few, and the operator does not name the player.
SESSIONS_KEY: Final = "sessions"
# A process tells itself now and then that pushes arrive: the broker says nothing of deleted bindings.
CHECK: Final = "push.check"
CHECK_SECONDS: Final = 30.0
# A process that does not keep up loses the oldest pushes, and the broker none of its memory.
QUEUE_LIMIT: Final = 10_000
# A client's hello waits for its player's binding, so a silent broker is soon given up.
BIND_SECONDS: Final = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerName:
    """A player as events and pushes name them."""

    operator_id: str
    player_id: str

    @property
    def key(self) -> str:
        return push_key(self.operator_id, self.player_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundChanged:
    """A round reached a state. `final` is true when its event says so, and false when it is unknown."""

    player: PlayerName
    round_id: str
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    session_id: str


Push = RoundChanged | SessionEnded


class PushLink:
    """One connection that reconnects, with a queue of this process alone on it. `on_push` is called with each
    push, `on_restored` when pushes may have been missed and the queue is there again.

    `start` returns at once, with or without a broker. A push that is published while there is none is lost;
    the queue is bound for all followed players again. A lost push does no harm, because the ledger has the
    state.
    """

    def __init__(
        self, amqp_url: str, on_push: Callable[[Push], None], on_restored: Callable[[], None]
    ) -> None:
        self._connection = BrokerConnection(
            amqp_url,
            name="pushes",
            declare=_declare,
            use=self._receive_on,
            longest_pause_seconds=2.0,
            confirms=False,
        )
        self._on_push = on_push
        self._on_restored = on_restored
        self._followed: set[PlayerName] = set()
        self._bound: set[PlayerName] = set()
        self._binding = asyncio.Lock()
        self._channel: AbstractChannel | None = None
        self._queue: AbstractQueue | None = None
        self._lost = asyncio.Event()
        self._own_key = f"check.{uuid4().hex}"
        self._checked = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._connection.start()

    async def close(self) -> None:
        await end_tasks(self._under_way)
        await self._connection.close()

    @property
    def connected(self) -> bool:
        return self._connection.connected

    async def follow(self, player: PlayerName) -> None:
        """Returns when pushes of the player arrive here, or when there is no broker to send any."""
        self._followed.add(player)
        await self._bind_or_unbind(player)

    def follow_soon(self, player: PlayerName, then: Callable[[], None]) -> None:
        """As `follow`, in a task of its own, for who may leave at any time: a bind that is given up costs
        everybody the channel. `then` is called when `follow` would return."""

        async def followed() -> None:
            await self._bind_or_unbind(player)
            then()

        self._followed.add(player)
        self._later(followed())

    def unfollow(self, player: PlayerName) -> None:
        self._followed.discard(player)
        self._later(self._bind_or_unbind(player))

    def push_round(self, player: PlayerName, round_id: str) -> None:
        """Publishes to all processes where the player has a socket. Returns at once."""
        body = {"operator": player.operator_id, "player_id": player.player_id, "round_id": round_id}
        self._later(self._publish(ROUND_CHANGED, body, player.key))

    def push_session_ended(self, session_id: str) -> None:
        """Publishes to all processes. Returns at once."""
        self._later(self._publish(SESSION_ENDED, {"session_id": session_id}, SESSIONS_KEY))

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _publish(self, kind: str, body: dict[str, str], key: str) -> None:
        channel = self._channel
        if channel is None:
            return
        message = Message(
            json.dumps(body).encode(), type=kind, delivery_mode=DeliveryMode.NOT_PERSISTENT, app_id="croupier"
        )
        with suppress(LinkLost), link_errors_as_one():
            async with asyncio.timeout(CONNECT_SECONDS):
                exchange = await channel.get_exchange(topology.PUSHES_EXCHANGE, ensure=False)
                await exchange.publish(message, key, mandatory=False)

    async def _bind_or_unbind(self, player: PlayerName) -> None:
        """Binds or unbinds, as the followed players require when its turn comes: the latest change holds."""
        async with self._binding:
            queue = self._queue
            if queue is None or (player in self._followed) == (player in self._bound):
                return
            try:
                with link_errors_as_one():
                    if player in self._followed:
                        await queue.bind(topology.PUSHES_EXCHANGE, player.key, timeout=BIND_SECONDS)
                        self._bound.add(player)
                    else:
                        self._bound.discard(player)
                        await queue.unbind(topology.PUSHES_EXCHANGE, player.key, timeout=BIND_SECONDS)
            except LinkLost:
                # A queue with a missing binding is given up; the next one is bound for all players.
                self._lost.set()

    async def _receive_on(self, channel: AbstractChannel) -> None:
        """Receives pushes on the channel until it is lost, or a binding of its queue fails."""
        self._lost = lost = asyncio.Event()
        await when_lost(channel, lost.set)
        try:
            await self._open_queue(channel)
            self._connection.established()
            self._on_restored()
            await self._stay_until(lost)
        finally:
            self._channel = self._queue = None
        raise LinkLost("the channel, its queue or a binding was lost")

    async def _stay_until(self, lost: asyncio.Event) -> None:
        """Returns when the channel is lost, or when a push to ourselves has not arrived by the time of the
        next one."""
        self._checked.set()
        while self._checked.is_set() and not lost.is_set():
            self._checked.clear()
            await self._publish(CHECK, {}, self._own_key)
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await lost.wait()

    async def _open_queue(self, channel: AbstractChannel) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            queue = await channel.declare_queue(
                exclusive=True, auto_delete=True, arguments={"x-max-length": QUEUE_LIMIT}
            )
            for key in (SESSIONS_KEY, self._own_key):
                await queue.bind(topology.PUSHES_EXCHANGE, key)
        async with self._binding:
            self._bound = set()
            for player in tuple(self._followed):
                await queue.bind(topology.PUSHES_EXCHANGE, player.key, timeout=CONNECT_SECONDS)
                self._bound.add(player)
            await queue.consume(self._receive, no_ack=True, timeout=CONNECT_SECONDS)
            # From here on each `follow` binds its own player; one that began meanwhile waits for the lock.
            self._channel, self._queue = channel, queue

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        if message.type == CHECK:
            self._checked.set()
            return
        try:
            push = parse(message.type, message.body)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("a push cannot be read: %s", type(error).__name__)
            return
        if push is not None:
            self._on_push(push)


async def _declare(channel: AbstractChannel) -> None:
    await topology.declare_pushes(channel, timeout_seconds=CONNECT_SECONDS)


def parse(kind: str | None, body: bytes) -> Push | None:
    """The push of a message, None for one that no socket waits for. Raises ValueError, KeyError, TypeError or
    RecursionError for a malformed one."""
    fields: dict[str, Any] = json.loads(body)
    if kind in (ROUND_SETTLED, ROUND_VOID):
        player = PlayerName(
            operator_id=_text(fields["operator"]), player_id=_text(fields["data"]["player_id"])
        )
        return RoundChanged(player=player, round_id=_text(fields["subject"]), final=True)
    if kind == ROUND_CHANGED:
        player = PlayerName(operator_id=_text(fields["operator"]), player_id=_text(fields["player_id"]))
        return RoundChanged(player=player, round_id=_text(fields["round_id"]), final=False)
    if kind == SESSION_ENDED:
        return SessionEnded(session_id=_text(fields["session_id"]))
    return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value
