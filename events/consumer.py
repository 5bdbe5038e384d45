"""A consumer that loses no event: it applies batches, waits out outages, and dead-letters unusable events."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import DeliveryError

from events import connection, topology
from events.broker import (
    CONNECT_SECONDS,
    LinkLost,
    Pauses,
    close_quietly,
    link_errors_as_one,
    reason,
    when_lost,
)
from events.catalogue import EventInvalid
from events.connection import BrokerConnection
from events.dead_letters import DEAD_LETTERS, OneOfEachId, dead_letter
from events.publisher import KEY_ID_HEADER, SIGNATURE_HEADER

log = logging.getLogger(__name__)

# How many tries, over about two seconds, a handler gets at an event on which it fails with an unknown error,
# which may be transient.
_ATTEMPTS: Final = 4

EventT = TypeVar("EventT")
_HandledT = TypeVar("_HandledT", contravariant=True)


class Unprocessable(Exception):
    """A handler raises this for an event that it can never apply; the event goes to the dead letters."""


class Handler(Protocol[_HandledT]):
    """Applies events in one transaction, together with their ids in an inbox.

    Called with one or more events in the order of the queue, and called again with the same ones after
    any failure or lost acknowledgement: the inbox makes the second time a no-op.
    """

    async def __call__(self, events: Sequence[_HandledT], /) -> None: ...


class EventVerifier(Protocol):
    """Checks a detached signature and raises when it does not fit, as security.signatures does."""

    def verify(self, body: bytes, *, key_id: str, value: str) -> None: ...


class Consumer(Generic[EventT]):
    """Feeds one queue to one handler, over a connection of its own, until `stop`.

    - What has arrived is handed over in batches of up to `batch_limit`; a batch waits at most
      `linger_seconds` for company. Acknowledged after the handler has returned.
    - An error among `transient` (a database that is away) is waited out in place with the messages in
      hand. Giving them back would count against the queue's delivery limit with every try, and a long
      outage would dead-letter good events. (RabbitMQ itself takes messages back after 30 minutes by default.)
    - Any other error of a batch: its events are tried one by one, so that one does not hold up the rest.
      An event that fails alone, cannot be parsed, or has a bad signature goes to the dead queue with its
      reason in a header.
    - A lost broker: connects again for ever; the queue hands over again what was not acknowledged.
    - Nothing comes for RENEW_SECONDS: it subscribes anew, for the broker may have lost it without a word.
    """

    def __init__(
        self,
        amqp_url: str,
        *,
        queue: topology.ConsumerQueue,
        parse: Callable[[bytes], EventT],
        handler: Handler[EventT],
        transient: tuple[type[Exception], ...],
        verifier: EventVerifier | None = None,
        prefetch: int = 200,
        batch_limit: int = 100,
        linger_seconds: float = 0.005,
    ) -> None:
        assert 1 <= batch_limit <= prefetch <= 65_535
        self._name = f"consumer of {queue.name}"
        self._queue = queue
        self._parse = parse
        self._handler = handler
        self._transient = transient
        self._verifier = verifier
        self._prefetch = prefetch
        self._batch_limit = batch_limit
        self._linger_seconds = linger_seconds
        self._one_of_each_id = OneOfEachId()
        DEAD_LETTERS.labels(queue.name)
        self._connection = BrokerConnection(
            amqp_url,
            name=self._name,
            declare=self._declare,
            use=self._consume,
            longest_pause_seconds=5.0,
        )

    @property
    def connected(self) -> bool:
        """For readiness checks and metrics."""
        return self._connection.connected

    def start(self) -> None:
        """Returns at once, with or without a broker."""
        self._connection.start()

    async def wait(self) -> None:
        """Returns after `stop`; raises what ended the consumer if that is something else."""
        await self._connection.wait()

    async def stop(self, *, grace_seconds: float = 10.0) -> None:
        """Takes no more messages, finishes those in hand, closes. Past the grace the queue has them back."""
        await self._connection.close(grace_seconds=grace_seconds)

    async def _declare(self, channel: AbstractChannel) -> None:
        await topology.declare(channel, self._queue, timeout_seconds=CONNECT_SECONDS)

    async def _consume(self, channel: AbstractChannel) -> None:
        """Subscribes, and works until the channel is lost, nothing comes for a while, or `stop` is called."""
        await channel.set_qos(prefetch_count=self._prefetch, timeout=CONNECT_SECONDS)
        deliveries = _Deliveries()
        await when_lost(channel, deliveries.end)
        queue = await channel.get_queue(self._queue.name, ensure=False)
        tag = await queue.consume(deliveries.put, timeout=CONNECT_SECONDS)
        self._connection.established()
        unsubscriber = asyncio.create_task(self._unsubscribe_on_stop(queue, tag, deliveries))
        try:
            while batch := await deliveries.batch(self._batch_limit, self._linger_seconds):
                await self._process(batch, channel)
        except _Silence:
            await close_quietly(channel)  # the queue has back what came meanwhile
            return
        finally:
            unsubscriber.cancel()
        if not self._connection.stopping.is_set():
            raise LinkLost("the channel was closed")

    async def _unsubscribe_on_stop(self, queue: AbstractQueue, tag: str, deliveries: "_Deliveries") -> None:
        await self._connection.stopping.wait()
        with suppress(LinkLost), link_errors_as_one():
            await queue.cancel(tag, timeout=CONNECT_SECONDS)
        deliveries.end()  # behind what has already been delivered, which is still worked off

    async def _process(self, batch: list[AbstractIncomingMessage], channel: AbstractChannel) -> None:
        readable: list[tuple[AbstractIncomingMessage, EventT]] = []
        unusable: list[tuple[AbstractIncomingMessage, str]] = []
        for message in batch:
            try:
                readable.append((message, self._read(message)))
            except EventInvalid as invalid:
                unusable.append((message, str(invalid)))
        if readable:
            await self._apply(readable, channel)
        # At once: each waits for its own confirm, and the next batch for all of them.
        await asyncio.gather(*(self._dead_letter(message, why, channel) for message, why in unusable))

    async def _apply(
        self, readable: list[tuple[AbstractIncomingMessage, EventT]], channel: AbstractChannel
    ) -> None:
        error = await self._hand_over([event for _, event in readable])
        if error is None:
            for message, _ in readable:
                await message.ack()
            return
        log.warning("%s: a batch failed, trying one by one: %s", self._name, reason(error))
        for message, event in readable:
            await self._process_alone(message, event, channel)

    async def _process_alone(
        self, message: AbstractIncomingMessage, event: EventT, channel: AbstractChannel
    ) -> None:
        pauses = Pauses(first_seconds=0.25, longest_seconds=1.0)
        for attempt in range(1, _ATTEMPTS + 1):
            error = await self._hand_over([event])
            if error is None:
                await message.ack()
                return
            if isinstance(error, Unprocessable) or attempt == _ATTEMPTS:
                await self._dead_letter(message, reason(error), channel)
                return
            await self._pause(pauses)

    async def _hand_over(self, events: list[EventT]) -> Exception | None:
        """Returns None once the handler has applied the events, otherwise the error that no retry cures."""
        pauses = Pauses(first_seconds=0.1, longest_seconds=5.0)
        while True:
            try:
                await self._handler(events)
            except self._transient as error:
                log.warning("%s: waiting for its store: %s", self._name, reason(error))
                await self._pause(pauses)
            except Exception as error:  # noqa: BLE001 - whatever a handler raises must not stop the queue
                return error
            else:
                return None

    def _read(self, message: AbstractIncomingMessage) -> EventT:
        """The event of a message with a good signature. Raises EventInvalid."""
        if self._verifier is not None:
            key_id, value = message.headers.get(KEY_ID_HEADER), message.headers.get(SIGNATURE_HEADER)
            if not isinstance(key_id, str) or not isinstance(value, str):
                raise EventInvalid("the event is not signed")
            try:
                self._verifier.verify(message.body, key_id=key_id, value=value)
            except Exception as error:  # noqa: BLE001 - whatever the verifier raises, the event is not to be used
                raise EventInvalid(f"the signature is refused: {reason(error)}") from None
        try:
            return self._parse(message.body)
        except EventInvalid:
            raise
        except Exception as error:  # noqa: BLE001 - a parser's mistake must cost one event, not the consumer
            raise EventInvalid(f"cannot be parsed: {reason(error)}") from None

    async def _dead_letter(
        self, message: AbstractIncomingMessage, why: str, channel: AbstractChannel
    ) -> None:
        log.error("%s: dead letter %r: %s", self._name, message.message_id, why)
        try:
            async with self._one_of_each_id.lock(message):
                await dead_letter(
                    channel,
                    self._queue,
                    message,
                    why,
                    body=message.body,
                    headers=message.headers,
                    timeout_seconds=CONNECT_SECONDS,
                )
        except (DeliveryError, TypeError, ValueError):
            # No dead queue takes it from us, or it cannot be copied; the queue's own dead-lettering keeps
            # trying, without the reason.
            await message.reject(requeue=False)
        else:
            await message.ack()

    async def _pause(self, pauses: Pauses) -> None:
        """Waits before the same try again. When `stop` is called meanwhile, gives up: the channel closes and
        the queue has the messages back."""
        await self._connection.pause(pauses.next_seconds())
        if self._connection.stopping.is_set():
            raise LinkLost("stopped while waiting")


class _Silence(Exception):
    """Nothing has come for so long that the subscription is made anew."""


class _Deliveries:
    """The deliveries of a channel that are not handled yet, in order. It ends when the channel does."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()

    async def put(self, message: AbstractIncomingMessage) -> None:
        self._messages.put_nowait(message)

    def end(self) -> None:
        self._messages.put_nowait(None)

    async def batch(self, limit: int, linger_seconds: float) -> list[AbstractIncomingMessage]:
        """One message or more, up to `limit`; empty at the end. Raises _Silence when none comes for
        RENEW_SECONDS."""
        try:
            async with asyncio.timeout(connection.RENEW_SECONDS):
                first = await self._messages.get()
        except TimeoutError:
            raise _Silence from None
        if first is None:
            return []
        batch = [first]
        self._take_arrived(batch, limit)
        if len(batch) < limit:
            await asyncio.sleep(linger_seconds)
            self._take_arrived(batch, limit)
        return batch

    def _take_arrived(self, batch: list[AbstractIncomingMessage], limit: int) -> None:
        while len(batch) < limit and not self._messages.empty():
            message = self._messages.get_nowait()
            if message is None:
                self.end()  # for the next call
                return
            batch.append(message)
