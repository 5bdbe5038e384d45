"""What is deleted on the broker without a word to its users is there again soon: exchanges, bindings, queues
whose consumer is down."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity

from events import connection
from events.connection import BrokerConnection
from tests.integration.events_on_broker import channel_to, fresh_operator, until
from tests.support import conditions


class User:
    """Declares an exchange, and counts its channels."""

    def __init__(self, amqp_url: str) -> None:
        self.name = fresh_operator()
        self.durable = True
        self.channels = 0
        self.over = BrokerConnection(
            amqp_url, name=self.name, declare=self.declare, use=self.use, longest_pause_seconds=1.0
        )

    async def declare(self, channel: AbstractChannel) -> None:
        await channel.declare_exchange(self.name, ExchangeType.TOPIC, durable=self.durable)

    async def use(self, channel: AbstractChannel) -> None:
        self.channels += 1
        self.over.established()
        await asyncio.Event().wait()


@pytest.fixture
async def user(amqp_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[User]:
    monkeypatch.setattr(connection, "DECLARE_AGAIN_SECONDS", 0.05)
    made = User(amqp_url)
    made.over.start()
    await until(lambda: made.over.connected)
    yield made
    await made.over.close()
    async with channel_to(amqp_url) as channel:
        await channel.exchange_delete(made.name)


async def is_there(amqp_url: str, exchange: str) -> bool:
    async with channel_to(amqp_url) as channel:
        try:
            await channel.get_exchange(exchange, ensure=True)
        except ChannelNotFoundEntity:
            return False
    return True


async def test_an_exchange_that_somebody_deletes_is_declared_again(user: User, amqp_url: str) -> None:
    async with channel_to(amqp_url) as channel:
        await channel.exchange_delete(user.name)
    await conditions.until(lambda: is_there(amqp_url, user.name))
    assert user.channels == 1, "without another connection"


async def test_a_declaration_that_is_refused_costs_its_user_nothing(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    user.durable = False  # the broker has it otherwise
    await until(lambda: "cannot be declared: ChannelPreconditionFailed" in caplog.text)
    assert (user.over.connected, user.channels) == (True, 1)
