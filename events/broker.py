"""The broker's connections: one way to connect, the errors that mean "try again", and the pauses between
tries."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import aio_pika
import pamqp.exceptions
from aio_pika.abc import AbstractChannel, AbstractConnection, TimeoutType
from aio_pika.exceptions import AMQPError, ConnectionClosed
from aiormq.abc import ExceptionType

from contracts.failures import error_line
from events import odd_properties

CONNECT_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 2.0
CANCEL_AGAIN_SECONDS: Final = 0.5

# A broker that freezes without closing its sockets is noticed after about three of these.
HEARTBEAT_SECONDS: Final = 10


class LinkLost(Exception):
    """The broker refused, went away, or did not answer in time."""


# The errors of a lost, closing or refused connection, at whatever point it is noticed. aio-pika uses
# RuntimeError for a connection that has no transport at the moment.
_LINK_ERRORS: Final = (
    AMQPError,
    OSError,
    TimeoutError,
    RuntimeError,
    StopAsyncIteration,
    pamqp.exceptions.PAMQPException,
)


class SelfClosingConnection(aio_pika.Connection):
    """A connection that closes itself when it cannot be opened, and counts as closed when its close is given
    up half-way. Left to the garbage collector, the library would close it in a coroutine that is never
    awaited."""

    async def connect(self, timeout: TimeoutType = None) -> None:  # noqa: ASYNC109 - the library's signature
        try:
            await super().connect(timeout)
        except BaseException:
            await self.close()
            raise

    async def close(self, exc: ExceptionType | None = ConnectionClosed) -> None:
        try:
            await super().close(exc)
        except BaseException:
            await super().close(exc)  # the transport ends by itself: this only takes note
            raise


async def connect(amqp_url: str, *, name: str) -> AbstractConnection:
    """A connection that does not reconnect by itself; events.connection does that over it. Raises LinkLost.

    aio-pika's robust connection restores channels on its own terms. Here each user decides how a new channel
    is set up, and which errors its callers get.
    """
    odd_properties.endure()
    with link_errors_as_one():
        async with asyncio.timeout(CONNECT_SECONDS):
            return await aio_pika.connect(
                amqp_url,
                timeout=CONNECT_SECONDS,
                heartbeat=HEARTBEAT_SECONDS,
                client_properties={"connection_name": name},
                connection_class=SelfClosingConnection,
            )


async def open_channel(connection: AbstractConnection, *, confirms: bool = True) -> AbstractChannel:
    """A channel on which, with `confirms`, a publish returns when it is confirmed and raises when it is
    unroutable. Raises LinkLost."""
    with link_errors_as_one():
        async with asyncio.timeout(CONNECT_SECONDS):
            channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
            await channel.initialize()
            return channel


async def when_lost(channel: AbstractChannel, notice: Callable[[], None]) -> None:
    """Calls `notice` when the channel is closed, and when the broker cancels a consumer on it (a deleted
    queue, a lost node), after which an open channel would stay silent for ever."""
    channel.close_callbacks.add(lambda _channel, _error: notice())
    underlay = await channel.get_underlay_channel()
    underlay.on_consumer_cancel_callbacks.add(lambda _frame: notice())


async def close_quietly(resource: AbstractConnection | AbstractChannel | None) -> None:
    """Closes within CLOSE_SECONDS. A lost connection is not waited for."""
    if resource is not None:
        with suppress(LinkLost), link_errors_as_one():
            async with asyncio.timeout(CLOSE_SECONDS):
                await resource.close()


async def end_tasks(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels the tasks until all have ended. Once may not do: a wait of the library that is cancelled at the
    moment when its answer comes returns the answer (asyncio.wait_for, before Python 3.12)."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)
        for task in done:
            if not task.cancelled():
                task.exception()  # retrieved, so that nobody logs it


@contextmanager
def link_errors_as_one() -> Iterator[None]:
    """Turns everything that a failing link raises into LinkLost.

    A closing channel also cancels the tasks that wait on it. Such a CancelledError is a lost link too, unless
    this task itself was cancelled.
    """
    try:
        yield
    except _LINK_ERRORS as error:
        raise LinkLost(reason(error)) from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling() > 0:
            raise
        raise LinkLost("the channel was closed") from None
    except Exception as error:
        # aiormq raises a plain Exception in a task that waits to write on a lost connection.
        if type(error) is Exception:
            raise LinkLost(reason(error)) from None
        raise


def reason(error: BaseException) -> str:
    """An error as a short text for logs and callers. aio-pika never puts the URL's password in there."""
    return error_line(error)


class Pauses:
    """Growing pauses between tries, from `first_seconds` doubling up to `longest_seconds`."""

    def __init__(self, *, first_seconds: float, longest_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._next_seconds = first_seconds

    def next_seconds(self) -> float:
        pause_seconds = self._next_seconds
        self._next_seconds = min(self._next_seconds * 2, self._longest_seconds)
        return pause_seconds

    def reset(self) -> None:
        self._next_seconds = self._first_seconds
