"""The broker's user that our programs connect as: it does all that they do, and reaches nothing that is not
Croupier's."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final
from uuid import uuid4

import pytest
from aio_pika import ExchangeType, Message
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused

from compose.rabbitmq import APPLICATION, USER
from compose.stack import Stack
from events import commands, topology
from events.topology import INCIDENTS, STATISTICS
from tests.conftest import Services
from tests.integration.events_on_broker import channel_to
from tests.support.conditions import HANG_S


@pytest.fixture
async def channel(stack: Stack, amqp_url: str) -> AsyncIterator[AbstractChannel]:
    """Of the programs' user; `amqp_url` has the broker started."""
    async with channel_to(stack.addresses.application_amqp_url) as channel:
        yield channel


async def test_the_programs_connect_as_a_user_of_their_own(services: Services) -> None:
    addresses = services.stack.addresses
    assert f"//{USER}:" in addresses.amqp_url
    assert f"//{APPLICATION}:" in addresses.application_amqp_url
    for program in services.stack.programs():
        assert program.settings["CROUPIER_AMQP_URL"] == addresses.application_amqp_url
        assert addresses.amqp_url not in program.settings.values()
    assert services.stack.info()["amqp_url"] == addresses.amqp_url


async def test_it_can_do_all_that_the_programs_do(channel: AbstractChannel, amqp_url: str) -> None:
    for queue in (STATISTICS, INCIDENTS):
        await topology.declare(channel, queue, timeout_seconds=HANG_S)
    await topology.declare_pushes(channel, timeout_seconds=HANG_S)
    await commands.declare(channel, timeout_seconds=HANG_S)
    pushes = await channel.declare_queue(exclusive=True, auto_delete=True)
    await pushes.bind(topology.PUSHES_EXCHANGE, "sessions")
    await pushes.unbind(topology.PUSHES_EXCHANGE, "sessions")
    async with channel_to(amqp_url) as of_a_game_server:
        answers = await of_a_game_server.declare_queue(f"game-server-{uuid4().hex}", exclusive=True)
        await channel.default_exchange.publish(Message(b"an answer"), answers.name)
        assert (await answers.get(no_ack=True)).body == b"an answer"


REFUSED: Final[dict[str, Callable[[AbstractChannel], Awaitable[object]]]] = {
    "declare a queue": lambda channel: channel.declare_queue("another-queue"),
    "declare an exchange": lambda channel: channel.declare_exchange("another", ExchangeType.TOPIC),
    "delete a queue": lambda channel: channel.queue_delete("another-queue"),
    "read a queue": lambda channel: _read(channel, "another-queue"),
    "publish to another exchange": lambda channel: _publish(channel, "amq.topic"),
    "declare what only begins alike": lambda channel: channel.declare_queue("croupierish"),
}


async def _read(channel: AbstractChannel, name: str) -> object:
    return await (await channel.get_queue(name, ensure=False)).get(fail=False)


async def _publish(channel: AbstractChannel, exchange: str) -> object:
    return await (await channel.get_exchange(exchange, ensure=False)).publish(Message(b""), "key")


@pytest.mark.parametrize("attempt", REFUSED.values(), ids=REFUSED)
async def test_it_reaches_nothing_else(
    channel: AbstractChannel, amqp_url: str, attempt: Callable[[AbstractChannel], Awaitable[object]]
) -> None:
    async with channel_to(amqp_url) as administrator:
        queue = await administrator.declare_queue("another-queue", exclusive=False, auto_delete=False)
        try:
            with pytest.raises(ChannelAccessRefused):
                await attempt(channel)
        finally:
            await queue.delete()
