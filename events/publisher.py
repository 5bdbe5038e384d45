"""Publishes events: persistent, mandatory, confirmed, signed, and always within the caller's time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractExchange, HeadersType
from aio_pika.exceptions import DeliveryError, PublishError

from contracts.events import RecordedEvent
from events import topology
from events.broker import CLOSE_SECONDS, CONNECT_SECONDS, LinkLost, close_quietly, link_errors_as_one
from events.catalogue import CONTENT_TYPE, envelope, players_key, routing_key
from events.connection import BrokerConnection

SIGNATURE_HEADER: Final = "croupier-signature"
KEY_ID_HEADER: Final = "croupier-key-id"
# Further routing keys of a message. The broker takes the header off, so that no consumer sees it.
SECOND_KEYS_HEADER: Final = "BCC"


class BrokerUnavailable(Exception):
    """The broker could not be reached in time. Nothing was sent."""


class PublishUncertain(Exception):
    """Sent, and not confirmed. The event may be published, so publish it again: consumers know its id."""


class Unroutable(Exception):
    """The broker took the event and no queue wanted it. Where a queue of ours should have, it is being
    declared again."""


class DetachedSignature(Protocol):
    @property
    def key_id(self) -> str: ...
    @property
    def value(self) -> str: ...


class EventSigner(Protocol):
    """Signs raw body bytes; security.signatures.Signer is one."""

    def sign(self, body: bytes) -> DetachedSignature: ...


class _Lane:
    """One channel for publishing, from when it is opened until the last publish on it is done.

    A lane that let a publish run out of time is retired, not closed: new publishes go to the next lane, and
    the confirms still under way on this one may arrive. Closing at once would make all of them uncertain.
    """

    def __init__(self, channel: AbstractChannel, exchange: AbstractExchange) -> None:
        self._channel = channel
        self._exchange = exchange
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.ended = asyncio.Event()  # retired by us, or closed by the broker
        channel.close_callbacks.add(self._on_close)

    def _on_close(self, _channel: AbstractChannel | None, _error: BaseException | None) -> None:
        self.ended.set()

    def retire(self) -> None:
        self.ended.set()

    @property
    def usable(self) -> bool:
        return not self.ended.is_set() and not self._channel.is_closed

    async def publish(self, message: Message, key: str) -> None:
        self._under_way += 1
        self._idle.clear()
        try:
            await self._exchange.publish(message, key, mandatory=True)
        except PublishError:
            # Its text holds the whole message, so it does not become the cause.
            raise Unroutable(f"no queue takes {key}") from None
        except DeliveryError:
            # A nack: for instance a quorum queue without its majority. The channel itself is sound.
            raise PublishUncertain("the broker refused to confirm") from None
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self._idle.set()

    async def close(self) -> None:
        """Waits a moment for confirms under way, then closes the channel."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._idle.wait()
        await close_quietly(self._channel)


class Publisher:
    """Publishes over one connection that reconnects. Any number of publishes run at once.

    `start` returns at once, with or without a broker; `close` ends everything. While the last attempt to
    connect has failed, `publish` refuses immediately instead of using up each caller's time.
    """

    def __init__(self, amqp_url: str, signer: EventSigner) -> None:
        self._signer = signer
        self._connection = BrokerConnection(
            amqp_url,
            name="publisher",
            declare=_declare,
            use=self._keep_a_lane,
            longest_pause_seconds=2.0,
            on_down=self._refuse,
        )
        self._lane: _Lane | None = None
        self._lane_changed = asyncio.Event()
        self._down_because: str | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._ids_under_way: dict[str, asyncio.Event] = {}

    def start(self) -> None:
        self._connection.start()

    @property
    def connected(self) -> bool:
        """For readiness checks and metrics."""
        return self._lane is not None and self._lane.usable

    async def established(self, *, timeout_seconds: float) -> None:
        """Returns as soon as events can be published. Raises BrokerUnavailable, and does so at once while the
        last attempt to connect has failed."""
        await self._open_lane(asyncio.get_running_loop().time() + timeout_seconds)

    async def publish(self, event: RecordedEvent, *, timeout_seconds: float) -> None:
        """Returns once the broker has confirmed the event; takes at most `timeout_seconds`.

        Raises BrokerUnavailable (nothing sent), PublishUncertain (sent, perhaps taken), Unroutable,
        or EventInvalid for an event that is not in the catalogue.
        """
        message, key = self._message(event), routing_key(event)
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        async with self._alone(event.event_id, deadline):
            lane = await self._open_lane(deadline)
            try:
                await self._publish_on(lane, message, key, deadline)
            except Unroutable:
                if topology.has_taker(event.type):
                    self._connection.declare_again()  # the queue or its binding was deleted
                raise

    async def close(self) -> None:
        """Lets confirms under way arrive, for a moment, and closes the connection."""
        await self._connection.end()
        self._refuse("the publisher is closed")
        self._withdraw_lane()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await self._connection.close()

    def _message(self, event: RecordedEvent) -> Message:
        body = envelope(event)
        signature = self._signer.sign(body)
        headers: HeadersType = {SIGNATURE_HEADER: signature.value, KEY_ID_HEADER: signature.key_id}
        if (key := players_key(event)) is not None:
            headers[SECOND_KEYS_HEADER] = [key]
        return Message(
            body,
            content_type=CONTENT_TYPE,
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=event.event_id,
            type=event.type,
            app_id="croupier",
            headers=headers,
        )

    @asynccontextmanager
    async def _alone(self, event_id: str, deadline: float) -> AsyncIterator[None]:
        """One publish of an event at a time; other events do not wait.

        The client library finds a returned message's publish by its message_id. With two under way under
        one id, the return of the first would be given to the second, and the first would pass for taken.
        """
        while (other := self._ids_under_way.get(event_id)) is not None:
            await _wait(other, deadline, "the same event is still being published")
        done = self._ids_under_way[event_id] = asyncio.Event()
        try:
            yield
        finally:
            del self._ids_under_way[event_id]
            done.set()

    async def _open_lane(self, deadline: float) -> _Lane:
        while self._lane is None or not self._lane.usable:
            if self._down_because is not None:
                raise BrokerUnavailable(self._down_because)
            self._lane_changed.clear()
            await _wait(self._lane_changed, deadline, "the broker did not answer in time")
        return self._lane

    async def _publish_on(self, lane: _Lane, message: Message, key: str, deadline: float) -> None:
        try:
            with link_errors_as_one():
                async with asyncio.timeout_at(deadline):
                    await lane.publish(message, key)
        except LinkLost as error:
            # In time or not, a lane that failed once gets no more publishes.
            lane.retire()
            raise PublishUncertain(f"not confirmed: {error}") from None

    async def _keep_a_lane(self, channel: AbstractChannel) -> None:
        """Offers a lane on the channel until it ends. Returning asks for the next one."""
        lane = _Lane(channel, await channel.get_exchange(topology.EVENTS_EXCHANGE, ensure=False))
        self._connection.established()
        self._offer(lane)
        try:
            await lane.ended.wait()
        finally:
            self._withdraw_lane()

    def _offer(self, lane: _Lane) -> None:
        self._down_because = None
        self._lane = lane
        self._lane_changed.set()

    def _withdraw_lane(self) -> None:
        lane, self._lane = self._lane, None
        if lane is not None:
            task = asyncio.create_task(lane.close())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def _refuse(self, why: str) -> None:
        self._down_because = why
        self._lane_changed.set()  # wakes the callers that wait


async def _declare(channel: AbstractChannel) -> None:
    for queue in (topology.STATISTICS, topology.INCIDENTS):
        await topology.declare(channel, queue, timeout_seconds=CONNECT_SECONDS)


async def _wait(event: asyncio.Event, deadline: float, what_it_means: str) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await event.wait()
    except TimeoutError:
        raise BrokerUnavailable(what_it_means) from None
