"""A game server that submits rounds to the broker and hears its answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import aio_pika
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from events import commands
from events.commands import COMMANDS, COMMANDS_EXCHANGE, STATUS_HEADER, SUBMIT_ROUND
from events.dead_letters import REASON_HEADER
from tests.support.conditions import HANG_S, until

DIRECT_REPLY: Final = "amq.rabbitmq.reply-to"


class QueueCaller:
    """Sends commands over one channel; `ask` waits for the answer with the same correlation id."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel
        self._waiting: dict[str, asyncio.Future[AbstractIncomingMessage]] = {}

    async def listen(self) -> None:
        queue = await self.channel.get_queue(DIRECT_REPLY, ensure=False)
        await queue.consume(self._hear, no_ack=True)

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        answer = self._waiting.pop(str(message.correlation_id), None)
        if answer is not None and not answer.done():  # an answer may come twice
            answer.set_result(message)

    async def send(self, body: Any, *, key: str = SUBMIT_ROUND, **properties: Any) -> None:
        """Returns once the broker has the command for good."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        properties = {"delivery_mode": DeliveryMode.PERSISTENT, **properties}
        exchange = await self.channel.get_exchange(COMMANDS_EXCHANGE, ensure=False)
        await exchange.publish(Message(content, **properties), key)

    async def ask(self, body: Any, **properties: Any) -> AbstractIncomingMessage:
        correlation_id = uuid4().hex
        answer = asyncio.get_running_loop().create_future()
        self._waiting[correlation_id] = answer
        await self.send(body, correlation_id=correlation_id, **{"reply_to": DIRECT_REPLY, **properties})
        return await asyncio.wait_for(answer, HANG_S)

    async def waiting(self) -> int:
        """Commands that nobody has been handed."""
        return await commands.waiting(self.channel, timeout_seconds=HANG_S)

    async def dead_letter(self, message_id: str) -> AbstractIncomingMessage:
        """The dead letter with this id; those before it are thrown away."""
        queue = await self.channel.get_queue(COMMANDS.dead_name, ensure=False)
        while True:
            letter = await until(lambda: queue.get(no_ack=True, fail=False))
            if letter is not None and letter.message_id == message_id:
                return letter


@asynccontextmanager
async def calling(amqp_url: str) -> AsyncIterator[QueueCaller]:
    """A caller with a connection of its own."""
    connection = await aio_pika.connect(amqp_url)
    try:
        channel = await connection.channel()
        await commands.declare(channel, timeout_seconds=HANG_S)
        caller = QueueCaller(channel)
        await caller.listen()
        yield caller
    finally:
        await connection.close()


def status(answer: AbstractIncomingMessage) -> Any:
    """What REST's status would have been."""
    return answer.headers[STATUS_HEADER]


def reason(letter: AbstractIncomingMessage) -> str:
    return str(letter.headers[REASON_HEADER])


def is_replayed(answer: AbstractIncomingMessage) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"
