"""The commands that game servers send over the broker: their queue, and the queue of those that are
unusable."""

from dataclasses import dataclass, field
from typing import Any, Final

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel

from events import topology
from events.topology import DEAD_EXCHANGE, ConsumerQueue

COMMANDS_EXCHANGE: Final = "croupier.commands"
SUBMIT_ROUND: Final = "rounds.submit"
ACT_ON_ROUND: Final = "rounds.act"

# The queue takes every routing key: one that nobody knows is then parked with its reason, and not dropped
# by the exchange in silence.
_EVERY_KEY: Final = "#"
# Beyond it the broker refuses to confirm, so a sender hears that its commands pile up.
WAITING_LIMIT: Final = 100_000

COMMANDS: Final = ConsumerQueue(name="croupier.commands", bindings=(_EVERY_KEY,))
# What the broker itself takes out of COMMANDS: expired, or returned too often. It holds session tokens, so it
# waits here only until a consumer has parked it without them.
DROPPED: Final = ConsumerQueue(name="croupier.commands.dropped", bindings=())

# Dead letters are for people to read. A sender of endless nonsense must not fill the broker's disk.
_DEAD_ARGUMENTS: Final[dict[str, Any]] = {
    "x-queue-type": "quorum",
    "x-max-length-bytes": 64 * 1024 * 1024,
    "x-message-ttl": 7 * 24 * 3600 * 1000,
}

# Header of an answer: the status that REST would have answered with.
STATUS_HEADER: Final = "status"


@dataclass(frozen=True, slots=True)
class Command:
    """A sender's command, as it came. `repeated`: an earlier attempt of it ended in TryAgain, and what it
    began may have been played. `name` is what its sender calls it, if that can be read."""

    routing_key: str
    body: bytes = field(repr=False)  # it holds a session token
    content_type: str | None = None
    content_encoding: str | None = None
    name: str | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The caller's answer: `type` is `round` or `problem`, `body` is JSON. With `parked_because` the
    command goes to the dead letters too."""

    type: str
    content_type: str
    headers: dict[str, str | int]
    body: bytes
    parked_because: str | None = None


class TryAgain(Exception):
    """A handler raises this while something that it needs is away: the same command may succeed later."""


async def declare(channel: AbstractChannel, *, timeout_seconds: float) -> None:
    """Declares all that commands need; declaring again changes nothing. `timeout_seconds` for each call.

    Raises aio_pika's ChannelPreconditionFailed when the broker has one of these names with other arguments.
    """
    exchange = await channel.declare_exchange(
        COMMANDS_EXCHANGE, ExchangeType.TOPIC, durable=True, timeout=timeout_seconds
    )
    await channel.declare_exchange(DEAD_EXCHANGE, ExchangeType.DIRECT, durable=True, timeout=timeout_seconds)
    # From the last to the first, so that whatever leaves a queue has a place to go to.
    bindings = (
        (COMMANDS.dead_name, DEAD_EXCHANGE, COMMANDS.dead_name),
        (DROPPED.name, DEAD_EXCHANGE, DROPPED.name),
        (COMMANDS.name, exchange.name, _EVERY_KEY),
    )
    for name, bound_to, key in bindings:
        queue = await channel.declare_queue(
            name, durable=True, arguments=arguments_of(name), timeout=timeout_seconds
        )
        await queue.bind(bound_to, key, timeout=timeout_seconds)


def arguments_of(queue: str) -> dict[str, Any]:
    """The arguments of one of the three queues."""
    into = "x-dead-letter-routing-key"
    return {
        COMMANDS.name: COMMANDS.arguments | {into: DROPPED.name, "x-max-length": WAITING_LIMIT},
        DROPPED.name: DROPPED.arguments | {into: COMMANDS.dead_name},
        COMMANDS.dead_name: _DEAD_ARGUMENTS,
    }[queue]


async def waiting(channel: AbstractChannel, *, timeout_seconds: float) -> int:
    """How many commands wait for a consumer."""
    return await topology.waiting(channel, COMMANDS, timeout_seconds=timeout_seconds)
