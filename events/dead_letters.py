"""Dead letters: messages that a consumer cannot use, in a queue beside its own, with the reason in one
header."""

from collections.abc import Mapping
from typing import Final

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, FieldValue

from contracts.failures import bounded
from events.topology import DEAD_EXCHANGE, ConsumerQueue

REASON_HEADER: Final = "croupier-reason"
# The first routing key that the message came with: to publish it again, once the cause is repaired.
ROUTING_KEY_HEADER: Final = "croupier-routing-key"


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
    """Publishes a copy of `message` to the dead letters of `queue`, with `body`, `headers` and the reason;
    returns once the broker has confirmed it.

    A plain reject would leave only the word "rejected" in the x-death header. The caller acknowledges the
    original afterwards; a crash in between leaves two dead letters. Raises aio_pika's DeliveryError when no
    dead queue takes it.
    """
    letter = Message(
        body,
        headers={**headers, REASON_HEADER: bounded(why), ROUTING_KEY_HEADER: message.routing_key or ""},
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=message.message_id,
        type=message.type,
        app_id=message.app_id,
    )
    exchange = await channel.get_exchange(DEAD_EXCHANGE, ensure=False)
    await exchange.publish(letter, queue.dead_name, mandatory=True, timeout=timeout_seconds)
