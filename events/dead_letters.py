"""Dead letters: messages that a consumer cannot use, in a queue beside its own, with the reason in one
header."""

import asyncio
from collections.abc import Mapping
from typing import Final
from weakref import WeakValueDictionary

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, FieldValue
from prometheus_client import Counter

from contracts.failures import bounded
from events.odd_properties import readable, writable
from events.topology import DEAD_EXCHANGE, ConsumerQueue

DEAD_LETTERS: Final = Counter(
    "croupier_dead_letters_total", "Messages that a consumer could not use, by its queue.", ["queue"]
)

REASON_HEADER: Final = "croupier-reason"
# The first routing key that the message came with: to publish it again, once the cause is repaired.
ROUTING_KEY_HEADER: Final = "croupier-routing-key"


class OneOfEachId:
    """Locks by message id: the client library finds a returned message's publish by its id, so two of one id
    are not published over one channel at a time."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, message: AbstractIncomingMessage) -> asyncio.Lock:
        """The library gives a message without an id one of its own."""
        lock = asyncio.Lock()
        return self._locks.setdefault(message.message_id, lock) if message.message_id else lock


async def dead_letter(
    channel: AbstractChannel,
    queue: ConsumerQueue,
    message: AbstractIncomingMessage,
    why: str,
    *,
    body: bytes,
    headers: Mapping[str, FieldValue],
    timeout_seconds: float | None = None,
) -> None:
    """Publishes a copy of `message` to the dead letters of `queue`, with `body`, the reason, and what can be
    kept of `headers` and of the message's properties; returns once the broker has confirmed it.

    A plain reject would leave only the word "rejected" in the x-death header. The caller acknowledges the
    original afterwards; a crash in between leaves two dead letters. Raises aio_pika's DeliveryError when no
    dead queue takes it.
    """
    ours = {REASON_HEADER: readable(bounded(why)), ROUTING_KEY_HEADER: readable(message.routing_key) or ""}
    letter = Message(
        body,
        headers={**writable(headers), **ours},
        content_type=readable(message.content_type),
        correlation_id=readable(message.correlation_id),
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=readable(message.message_id),
        type=readable(message.type),
        app_id=readable(message.app_id),
    )
    exchange = await channel.get_exchange(DEAD_EXCHANGE, ensure=False)
    await exchange.publish(letter, queue.dead_name, mandatory=True, timeout=timeout_seconds)
    DEAD_LETTERS.labels(queue.name).inc()
