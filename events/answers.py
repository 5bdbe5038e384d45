"""Answers to commands, on connections of their own: a sender names where its answer goes, and there are names
that make a broker close the connection over which they come."""

import asyncio
import base64
import binascii
import logging
from typing import Final

from aio_pika import Message
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError

from events.broker import LinkLost, link_errors_as_one, reason
from events.connection import BrokerConnection

# A queue that confirms nothing (a quorum queue without its majority) must not keep its command for ever.
CONFIRM_SECONDS: Final = 60.0
TRIES_ALONE: Final = 2

# What the broker makes of `amq.rabbitmq.reply-to`: this, a process of its own in base64, and a key.
_DIRECT_REPLY: Final = "amq.rabbitmq.reply-to."
_ERLANG_TERM: Final = b"\x83"
_STANDARD: Final = str.maketrans("-_", "+/")

log = logging.getLogger(__name__)


class _GivenUp(Exception):
    """An answer that cannot be delivered."""


class Answers:
    """Publishes answers, any number at once.

    What is under way when the connection is lost may be what closed it, or have stood beside it: each of
    these is published again alone, over a second connection. One that loses that too is given up. So a bad
    address costs no other answer, whatever broker this is.
    """

    def __init__(self, amqp_url: str) -> None:
        self._together = _Line(amqp_url, "answers")
        self._alone = _Line(amqp_url, "answers in doubt")
        self._one_by_one = asyncio.Lock()

    def start(self) -> None:
        """Returns at once, with or without a broker."""
        self._together.start()
        self._alone.start()

    async def close(self) -> None:
        await asyncio.gather(self._together.close(), self._alone.close())

    async def send(self, answer: Message, reply_to: str) -> None:
        """Returns once the broker has confirmed the answer, also for a caller that is gone, or once it is
        given up, which is a line in the log. Waits while there is no broker."""
        try:
            await self._send(answer, reply_to)
        except _GivenUp as why:
            log.warning("commands: the answer to %r is given up: %s", reply_to, why)

    async def _send(self, answer: Message, reply_to: str) -> None:
        if reply_to.startswith(_DIRECT_REPLY) and not is_direct_reply(reply_to):
            raise _GivenUp("no broker made this address")
        try:
            await self._together.publish(answer, reply_to)
        except LinkLost:
            await self._send_alone(answer, reply_to)

    async def _send_alone(self, answer: Message, reply_to: str) -> None:
        async with self._one_by_one:
            for _ in range(TRIES_ALONE):
                try:
                    return await self._alone.publish(answer, reply_to)
                except LinkLost as error:
                    why = str(error)
        raise _GivenUp(f"it loses the connection: {why}")


class _Line:
    """A connection that reconnects, with one channel."""

    def __init__(self, amqp_url: str, name: str) -> None:
        self._connection = BrokerConnection(
            amqp_url, name=name, declare=_nothing, use=self._keep, longest_pause_seconds=1.0
        )
        self._channel: AbstractChannel | None = None
        self._opened = asyncio.Event()

    def start(self) -> None:
        self._connection.start()

    async def close(self) -> None:
        await self._connection.close()

    async def publish(self, answer: Message, key: str) -> None:
        """Raises LinkLost when the connection is lost before the broker has confirmed, _GivenUp."""
        channel = await self._open()
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await _publish(channel, answer, key)
        except TimeoutError:
            raise _GivenUp("the broker does not confirm it") from None
        except LinkLost:
            self._forget(channel)  # or the next one would be blamed for the same loss
            raise

    async def _open(self) -> AbstractChannel:
        while self._channel is None:
            self._opened.clear()
            await self._opened.wait()
        return self._channel

    def _forget(self, channel: AbstractChannel) -> None:
        if self._channel is channel:
            self._channel = None

    async def _keep(self, channel: AbstractChannel) -> None:
        """Offers the channel until it is lost."""
        lost = asyncio.Event()
        channel.close_callbacks.add(lambda _channel, _error: lost.set())
        self._connection.established()
        self._channel = channel
        self._opened.set()
        try:
            await lost.wait()
        finally:
            self._forget(channel)
        raise LinkLost("the channel was closed")


def is_direct_reply(address: str) -> bool:
    """Whether the address looks like one that a broker has made for a direct reply-to. RabbitMQ 3.10 fails on
    others, and closes the connection."""
    process, _, _ = address.removeprefix(_DIRECT_REPLY).partition(".")
    padded = process.translate(_STANDARD).rstrip("=")
    try:
        term = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return term.startswith(_ERLANG_TERM)


async def _publish(channel: AbstractChannel, answer: Message, key: str) -> None:
    """Raises LinkLost, _GivenUp."""
    with link_errors_as_one():
        try:
            # Not mandatory: the direct reply-to would report itself unroutable each time.
            await channel.default_exchange.publish(answer, key, mandatory=False)
        except DeliveryError as error:
            # The caller's queue is full. It can send its command again, and gets the same answer.
            raise _GivenUp(reason(error)) from None


async def _nothing(_channel: AbstractChannel) -> None:
    """Answers need nothing on the broker."""
