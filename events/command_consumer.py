"""Takes commands from the broker, many at once; each is answered, or parked with its reason, before it is
acknowledged."""

import asyncio
import hashlib
import logging
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final, Protocol

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import DeliveryError

from contracts.failures import bounded
from events import commands, connection
from events.answers import Answers
from events.broker import (
    CONNECT_SECONDS,
    LinkLost,
    Pauses,
    close_quietly,
    end_tasks,
    link_errors_as_one,
    reason,
    when_lost,
)
from events.commands import COMMANDS, DROPPED, Answer, Command, TryAgain
from events.connection import BrokerConnection
from events.dead_letters import DEAD_LETTERS, OneOfEachId, dead_letter
from events.odd_properties import is_text, readable

log = logging.getLogger(__name__)

# So many more are taken while most of those in hand are being parked: what is no command keeps no other back.
WHILE_PARKING: Final = 200
OWN_QUEUES: Final = "croupier."
NAME_HEADER: Final = "X-Request-Id"
PARKED_BYTES: Final = 64 * 1024
_PLAIN: Final = frozenset({"", "identity", "utf-8", "utf8"})

# Session tokens are compact JWTs. A null between the characters is UTF-16; the end may be cut off.
_TOKEN: Final = re.compile(rb"e\0?y\0?J\0?(?:[\w.-]\0?){16,}")

# How the broker names its reasons (x-first-death-reason), for people.
_DROPPED_BECAUSE: Final = {
    "expired": "its time was over before anybody took it",
    "delivery_limit": "returned to the queue too often",
    "rejected": "it could not be concluded: see the log",
}


class Handler(Protocol):
    """Answers one command; many are under way at once. Called again with the same command after TryAgain,
    and after a lost link or process, so it must do a thing once however often it is asked. May be
    cancelled."""

    async def __call__(self, command: Command, /) -> Answer: ...


class _Link:
    """One channel, from its subscriptions until it is lost, and what is under way on it."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel
        self.lost = asyncio.Event()
        self.ending = asyncio.Event()  # it takes no more
        self.came = asyncio.Event()
        self.under_way: set[asyncio.Task[None]] = set()
        self.one_of_each_id = OneOfEachId()
        self.parking = 0  # how many are being parked
        self.parking_changed = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Whether a command is under way; what takes more of them is a task too."""
        return len(self.under_way) > 1

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    @contextmanager
    def being_parked(self) -> Iterator[None]:
        self.parking += 1
        self.parking_changed.set()
        try:
            yield
        finally:
            self.parking -= 1
            self.parking_changed.set()

    async def idle(self) -> None:
        while self.under_way:
            await asyncio.wait(self.under_way)

    async def abandon(self) -> None:
        """Drops what is under way. The queue hands out again what is not acknowledged: no answer can be sent
        over this link."""
        await end_tasks(self.under_way)


_Work = Callable[[AbstractIncomingMessage, _Link], Coroutine[Any, Any, None]]


class CommandConsumer:
    """Hands commands to one handler, over a connection of its own, until `stop`.

    - At most `prefetch` commands are under way, in no order of their own.
    - A command is acknowledged after the broker has confirmed its answer, or refused its address, and its
      dead letter where it gets one. A process that dies before has it handed out again.
    - A handler that says TryAgain is asked again, with growing pauses and the message in hand: giving it back
      would count against the queue's delivery limit.
    - A lost broker: connects again for ever.
    - Nothing comes for RENEW_SECONDS: it subscribes anew, for the broker may have lost it without a word.
    """

    def __init__(self, amqp_url: str, *, handler: Handler, prefetch: int) -> None:
        assert 1 <= prefetch <= 65_535
        self._handler = handler
        self._prefetch = prefetch
        self._answers = Answers(amqp_url)
        DEAD_LETTERS.labels(COMMANDS.name)
        self._connection = BrokerConnection(
            amqp_url,
            name="commands",
            declare=_declare,
            use=self._consume,
            longest_pause_seconds=5.0,
        )

    @property
    def connected(self) -> bool:
        """For metrics."""
        return self._connection.connected

    def start(self) -> None:
        """Returns at once, with or without a broker."""
        self._answers.start()
        self._connection.start()

    async def stop(self, *, grace_seconds: float) -> None:
        """Takes no more commands, finishes those in hand, closes. Past the grace the queue has them back."""
        await self._connection.close(grace_seconds=grace_seconds)
        await self._answers.close()

    async def _consume(self, channel: AbstractChannel) -> None:
        """Subscribes, and works until the link is lost, nothing comes for a while, or `stop` is called."""
        link = _Link(channel)
        await when_lost(channel, link.lost.set)
        await channel.set_qos(prefetch_count=self._prefetch, timeout=CONNECT_SECONDS)
        try:
            queues = [
                await self._subscribe(link, COMMANDS.name, self._serve),
                await self._subscribe(link, DROPPED.name, self._park_dropped),
            ]
            link.begin(self._take_more(link))
            self._connection.established()
            await self._until_silent(link)
            if not link.lost.is_set():
                await self._finish(link, queues)
        finally:
            await link.abandon()
        if link.lost.is_set() and not self._connection.stopping.is_set():
            raise LinkLost("the channel was closed")
        await close_quietly(channel)

    async def _until_silent(self, link: _Link) -> None:
        """Returns when nothing is under way and nothing comes for RENEW_SECONDS, at `stop`, or when the link
        is lost."""
        link.came.set()
        while link.came.is_set() or link.busy:
            link.came.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(connection.RENEW_SECONDS):
                    await _either(self._connection.stopping, link.lost)
                    return

    async def _subscribe(self, link: _Link, name: str, work: _Work) -> tuple[AbstractQueue, str]:
        async def take(message: AbstractIncomingMessage) -> None:
            link.came.set()
            link.begin(self._guarded(work, message, link))

        queue = await link.channel.get_queue(name, ensure=False)
        return queue, await queue.consume(take, timeout=CONNECT_SECONDS)

    async def _take_more(self, link: _Link) -> None:
        """Until the link is ending: takes more commands while most of those in hand are being parked, for
        each of these is in hand for two round trips to the broker's disk."""
        try:
            with link_errors_as_one():
                while True:
                    await self._until_parking(link, lambda: link.parking > self._prefetch // 2)
                    if link.ending.is_set():
                        return
                    await link.channel.set_qos(prefetch_count=WHILE_PARKING, timeout=CONNECT_SECONDS)
                    queue, tag = await self._subscribe(link, COMMANDS.name, self._serve)
                    await self._until_parking(link, lambda: link.parking == 0)
                    await queue.cancel(tag, timeout=CONNECT_SECONDS)
        except LinkLost:
            link.lost.set()

    async def _until_parking(self, link: _Link, condition: Callable[[], bool]) -> None:
        """Returns when the `condition` holds, or when the link is ending."""
        while not condition() and not link.ending.is_set():
            link.parking_changed.clear()
            await _either(link.parking_changed, link.ending)

    async def _finish(self, link: _Link, queues: list[tuple[AbstractQueue, str]]) -> None:
        """Takes no more, and waits for what is under way."""
        link.ending.set()
        with suppress(LinkLost), link_errors_as_one():
            for queue, tag in queues:
                await queue.cancel(tag, timeout=CONNECT_SECONDS)
        await link.idle()

    async def _guarded(self, work: _Work, message: AbstractIncomingMessage, link: _Link) -> None:
        """Serves one command. One that cannot be acknowledged ends its link, or it would stay in hand."""
        try:
            with link_errors_as_one():
                await work(message, link)
        except LinkLost:
            link.lost.set()
        except Exception:
            log.exception("commands: one could not be concluded")
            await self._put_aside(work, message, link)

    async def _put_aside(self, work: _Work, message: AbstractIncomingMessage, link: _Link) -> None:
        """What failed as nobody foresaw would come again, and fail again: the broker drops it."""
        if work != self._serve:  # dropped before: it waits for the next link
            link.lost.set()
            return
        try:
            with link_errors_as_one():
                await message.reject(requeue=False)
        except LinkLost:
            link.lost.set()

    async def _serve(self, message: AbstractIncomingMessage, link: _Link) -> None:
        if (why := _unanswerable(message)) is not None:
            await self._park(message, why, link)
            await message.ack()
            return
        answer = await self._answer(_command(message))
        if answer is None:
            return  # stopped: the queue has it back
        if message.reply_to:
            await self._answers.send(_reply(message, answer), message.reply_to)
        if answer.parked_because is not None:
            await self._park(message, answer.parked_because, link)
        await message.ack()

    async def _answer(self, command: Command) -> Answer | None:
        """None when `stop` is called while the handler waits for something that is away."""
        pauses = Pauses(first_seconds=0.1, longest_seconds=5.0)
        while True:
            try:
                return await self._handler(command)
            except TryAgain as away:
                log.warning("commands: waiting: %s", bounded(str(away)))
                command = replace(command, repeated=True)
            await self._connection.pause(pauses.next_seconds())
            if self._connection.stopping.is_set():
                return None

    async def _park_dropped(self, message: AbstractIncomingMessage, link: _Link) -> None:
        """What the broker took out of the queue gets its reason in words, and loses its token."""
        why = str(message.headers.get("x-first-death-reason", ""))
        await self._park(message, _DROPPED_BECAUSE.get(why, why or "dropped by the broker"), link)
        await message.ack()

    async def _park(self, message: AbstractIncomingMessage, why: str, link: _Link) -> None:
        """Returns once the broker has confirmed the dead letter, which has no token and no header of its
        sender's."""
        why = without_tokens(why.encode()).decode(errors="replace")
        log.warning("commands: parked %r: %r", message.message_id, why)
        body = parked_body(message.body, readable(message.content_encoding))
        try:
            with link.being_parked():
                async with link.one_of_each_id.lock(message):
                    await dead_letter(link.channel, COMMANDS, message, why, body=body, headers={})
        except DeliveryError as error:
            # The dead queue was deleted, or has no majority. The next link declares it again.
            raise LinkLost(reason(error)) from None


async def _declare(channel: AbstractChannel) -> None:
    await commands.declare(channel, timeout_seconds=CONNECT_SECONDS)


def parked_body(body: bytes, content_encoding: str | None) -> bytes:
    """A body that may be kept: without session tokens, whose hashes still distinguish them, and not longer
    than PARKED_BYTES. A compressed body could hide a token, so nothing of it is left."""
    return without_tokens(body[:PARKED_BYTES]) if is_plain(content_encoding) else b""


def is_plain(content_encoding: str | None) -> bool:
    """Whether a body with this content encoding can be read as it is."""
    return (content_encoding or "").lower() in _PLAIN


def without_tokens(text: bytes) -> bytes:
    """The text with `removed-` and the first 12 digits of its SHA-256 for each session token."""
    return _TOKEN.sub(_removed, text)


def _removed(token: re.Match[bytes]) -> bytes:
    return b"removed-" + hashlib.sha256(token[0].replace(b"\0", b"")).hexdigest()[:12].encode()


def _command(message: AbstractIncomingMessage) -> Command:
    return Command(
        routing_key=message.routing_key or "",
        body=message.body,
        content_type=readable(message.content_type),
        content_encoding=readable(message.content_encoding),
        name=_name(message),
    )


def _name(message: AbstractIncomingMessage) -> str | None:
    """What the sender matches the answer by, or calls its message."""
    for name in (message.headers.get(NAME_HEADER), message.correlation_id, message.message_id):
        if name:
            return name if isinstance(name, str) else None
    return None


def _unanswerable(message: AbstractIncomingMessage) -> str | None:
    """Why the answer to a command must go nowhere, or None. What is left of a property that is no UTF-8 names
    somebody else, or something else that was asked."""
    reply_to, correlation_id = message.reply_to or "", message.correlation_id or ""
    if not is_text(reply_to):
        return "reply_to is not UTF-8"
    if not is_text(correlation_id):
        return "correlation_id is not UTF-8"
    if reply_to.startswith(OWN_QUEUES):
        # The sender may lack the right to write there, which we have.
        return "reply_to names a queue of Croupier's own"
    return None


def _reply(message: AbstractIncomingMessage, answer: Answer) -> Message:
    return Message(
        answer.body,
        type=answer.type,
        content_type=answer.content_type,
        headers=dict(answer.headers),
        correlation_id=message.correlation_id,
        delivery_mode=DeliveryMode.PERSISTENT,
        app_id="croupier",
    )


async def _either(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
