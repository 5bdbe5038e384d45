"""What the publisher's and the consumer's tests share: events, an operator of their own, a listener."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.abc import AbstractChannel
from yarl import URL

from contracts.events import RecordedEvent
from events.topology import EVENTS_EXCHANGE, ConsumerQueue
from security.keyring import Keyring
from security.signatures import SignatureVerifier, Signer
from tests.integration.cable import Cable
from tests.support import conditions

KEYRING = Keyring.generate()
SIGNER = Signer(KEYRING.events)
VERIFIER = SignatureVerifier(KEYRING.events.public_keys())


def fresh_operator() -> str:
    """Keeps the events of one test apart from all others on the same broker."""
    return f"test-{secrets.token_hex(6)}"


def game_event(operator_id: str, number: int) -> RecordedEvent:
    """An event that the platform's own statistics does not hear, so nothing foreign enters its books."""
    return RecordedEvent(
        event_id=f"{operator_id}-{number}",
        type="game.event",
        operator_id=operator_id,
        game_id="dice",
        subject=f"r-{number}",
        sequence=number,
        occurred_at="2026-11-22T16:00:00Z",
        data=json.dumps({"number": number}),
    )


def routing_key_of(operator_id: str) -> str:
    return f"{operator_id}.dice.game.event"


def queue_of(operator_id: str) -> ConsumerQueue:
    return ConsumerQueue(name=operator_id, bindings=(routing_key_of(operator_id),))


@asynccontextmanager
async def channel_to(amqp_url: str) -> AsyncIterator[AbstractChannel]:
    """A channel of the test's own, straight to the broker."""
    connection = await aio_pika.connect(amqp_url)
    try:
        yield await connection.channel()
    finally:
        await connection.close()


@asynccontextmanager
async def cable_to(amqp_url: str) -> AsyncIterator[tuple[Cable, str]]:
    """A cable to the broker, and the URL that leads through it."""
    url = URL(amqp_url)
    assert url.host is not None
    async with Cable(url.host, url.port or 5672) as cable:
        yield cable, str(url.with_host("127.0.0.1").with_port(cable.port))


@asynccontextmanager
async def listener(
    amqp_url: str, operator_id: str
) -> AsyncIterator[asyncio.Queue[aio_pika.abc.AbstractIncomingMessage]]:
    """Everything that is published for this operator from now on."""
    heard: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()

    async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        heard.put_nowait(message)

    async with channel_to(amqp_url) as channel:
        await channel.declare_exchange(EVENTS_EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EVENTS_EXCHANGE, routing_key_of(operator_id))
        await queue.consume(hear, no_ack=True)
        yield heard


async def until(condition: Callable[[], object]) -> None:
    """Waits for a `condition` that asks nobody."""

    async def met() -> bool:
        return bool(condition())

    await conditions.until(met)
