"""An answer whose address makes the broker close the connection is given up, and costs no other answer."""

import asyncio
import base64
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel

from events.answers import Answers, is_direct_reply
from tests.integration.events_on_broker import cable_to, channel_to, until
from tests.support import conditions
from tests.support.conditions import HANG_S

# They look like what a broker makes, so they are tried. RabbitMQ 3.10 closes the connection over both.
CONVINCING = [
    f"amq.rabbitmq.reply-to.{base64.b64encode(process).decode()}.key"
    for process in (b"\x83", b"\x83Xv\x00\x0creply@nobody" + bytes(12))
]


@pytest.fixture
async def channel(amqp_url: str) -> AsyncIterator[AbstractChannel]:
    async with channel_to(amqp_url) as channel:
        yield channel


@pytest.fixture
async def answers(amqp_url: str) -> AsyncIterator[Answers]:
    opened = Answers(amqp_url)
    opened.start()
    yield opened
    await opened.close()


async def send(answers: Answers, address: str, count: int = 1) -> None:
    async with asyncio.timeout(HANG_S):
        await asyncio.gather(
            *(answers.send(Message(b"", message_id=str(number)), address) for number in range(count))
        )


@pytest.mark.parametrize("bad", CONVINCING)
async def test_those_beside_a_bad_address_arrive(
    answers: Answers, channel: AbstractChannel, bad: str
) -> None:
    assert is_direct_reply(bad)
    queue = await channel.declare_queue(exclusive=True)
    await asyncio.gather(send(answers, queue.name, 10), send(answers, bad, 3), send(answers, queue.name, 10))
    await send(answers, queue.name)
    heard = set()
    while (message := await queue.get(no_ack=True, fail=False)) is not None:
        heard.add(message.message_id)  # one may come twice
    assert heard == {str(number) for number in range(10)}


async def test_an_answer_waits_for_a_broker_that_is_away(channel: AbstractChannel, amqp_url: str) -> None:
    queue = await channel.declare_queue(exclusive=True)
    async with cable_to(amqp_url) as (cable, through_cable):
        await cable.cut()
        answers = Answers(through_cable)
        answers.start()
        sending = asyncio.create_task(send(answers, queue.name))
        await until(lambda: answers._together._connection.down)
        assert not sending.done()
        await cable.repair()
        await sending
        await answers.close()
    assert await queue.get(no_ack=True) is not None


async def test_a_queue_that_is_full_is_given_up(
    answers: Answers, channel: AbstractChannel, caplog: pytest.LogCaptureFixture
) -> None:
    full = await channel.declare_queue(
        exclusive=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"}
    )
    await send(answers, full.name)
    assert f"the answer to '{full.name}' is given up: " in caplog.text


@pytest.mark.parametrize("address", ["amq.rabbitmq.reply-to.AAAA.x", "amq.rabbitmq.reply-to.garbage.key"])
async def test_an_address_that_no_broker_made_is_given_up_at_once_with_one_line(
    answers: Answers, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    await send(answers, address)
    (line,) = [record.message for record in caplog.records if "given up" in record.message]
    assert address in line
    assert not answers._together._connection.down


async def test_names_of_nothing_and_of_an_exchange_are_answered_to_nobody(
    answers: Answers, channel: AbstractChannel
) -> None:
    for address in (uuid4().hex, "amq.topic", "amq.rabbitmq.reply-to"):
        await send(answers, address)
    queue = await channel.declare_queue(exclusive=True)
    await send(answers, queue.name)

    async def heard() -> bool:
        return await queue.get(no_ack=True, fail=False) is not None

    await conditions.until(heard)
