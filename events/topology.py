"""The exchanges and queues on the broker, declared by the first process that connects, on RabbitMQ 3.10 to
4.x."""

from dataclasses import dataclass
from typing import Any, Final

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel

from events.catalogue import INCIDENT_OPENED, ROUND_SETTLED, ROUND_VOID, push_key

EVENTS_EXCHANGE: Final = "croupier.events"
DEAD_EXCHANGE: Final = "croupier.dead"
# Leads from a player to the processes where that player has a socket; see events.pushes.
PUSHES_EXCHANGE: Final = "croupier.pushes"

# Each return of a message to its queue counts, also when a consumer's process dies with a full prefetch in
# hand. The limit is there only for a message that kills its consumer, so it must outlast an ordinary crash
# loop: with a low limit, twenty kills in a row would dead-letter hundreds of innocent messages.
DELIVERY_LIMIT: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerQueue:
    """A quorum queue of events for one consumer, with `<name>.dead` beside it for its dead letters."""

    name: str
    bindings: tuple[str, ...]  # routing key patterns on EVENTS_EXCHANGE

    @property
    def dead_name(self) -> str:
        return f"{self.name}.dead"

    @property
    def arguments(self) -> dict[str, Any]:
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD_EXCHANGE,
            "x-dead-letter-routing-key": self.dead_name,
            # A dead letter leaves the queue only once the dead queue has confirmed it. This needs
            # reject-publish, which changes nothing else: the queue has no length limit.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }


# A topic's stars match single words: operator, game, and then the two words of the type.
STATISTICS: Final = ConsumerQueue(
    name="croupier.statistics", bindings=(f"*.*.{ROUND_SETTLED}", f"*.*.{ROUND_VOID}")
)
# For operators' alerting: no program of ours reads it.
INCIDENTS: Final = ConsumerQueue(name="croupier.incidents", bindings=(f"*.*.{INCIDENT_OPENED}",))


def has_taker(event_type: str) -> bool:
    """Whether a queue of ours takes all events of the type."""
    return any(f"*.*.{event_type}" in queue.bindings for queue in (STATISTICS, INCIDENTS))


async def declare(channel: AbstractChannel, queue: ConsumerQueue, *, timeout_seconds: float) -> None:
    """Declares the exchanges and `queue`; declaring again changes nothing. `timeout_seconds` for each call.

    The publisher declares the statistics queue too. Publishes are mandatory, so an event that no queue
    takes comes back as Unroutable; with this queue bound, a round's event always has a taker, and the
    first rounds are not lost to statistics because the consumer started later.

    Raises aio_pika's ChannelPreconditionFailed when the broker has one of these names with other arguments.
    """
    await channel.declare_exchange(EVENTS_EXCHANGE, ExchangeType.TOPIC, durable=True, timeout=timeout_seconds)
    dead_exchange = await channel.declare_exchange(
        DEAD_EXCHANGE, ExchangeType.DIRECT, durable=True, timeout=timeout_seconds
    )
    # The dead queue first, so that it is there before a message can die.
    dead = await channel.declare_queue(
        queue.dead_name, durable=True, arguments={"x-queue-type": "quorum"}, timeout=timeout_seconds
    )
    await dead.bind(dead_exchange, queue.dead_name, timeout=timeout_seconds)
    declared = await channel.declare_queue(
        queue.name, durable=True, arguments=queue.arguments, timeout=timeout_seconds
    )
    for binding in queue.bindings:
        await declared.bind(EVENTS_EXCHANGE, binding, timeout=timeout_seconds)


async def declare_pushes(channel: AbstractChannel, *, timeout_seconds: float) -> None:
    """Declares the exchange of pushes, fed with all events that name their player. It is direct: a process
    binds for each player with a socket there, and the patterns of the events' exchange stay few."""
    events = await channel.declare_exchange(
        EVENTS_EXCHANGE, ExchangeType.TOPIC, durable=True, timeout=timeout_seconds
    )
    pushes = await channel.declare_exchange(
        PUSHES_EXCHANGE, ExchangeType.DIRECT, durable=True, timeout=timeout_seconds
    )
    await pushes.bind(events, push_key("*", "*"), timeout=timeout_seconds)


async def waiting(channel: AbstractChannel, queue: ConsumerQueue, *, timeout_seconds: float) -> int:
    """How many messages of the queue wait for a consumer."""
    found = await channel.declare_queue(queue.name, passive=True, timeout=timeout_seconds)
    return found.declaration_result.message_count or 0
