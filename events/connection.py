"""The connection to the broker that reconnects; publisher, consumers, commands and pushes keep one each."""

import asyncio
import logging
from contextlib import suppress
from typing import Final, Protocol

from aio_pika.abc import AbstractChannel, AbstractConnection
from prometheus_client import Gauge

from events.broker import (
    LinkLost,
    Pauses,
    close_quietly,
    connect,
    end_tasks,
    link_errors_as_one,
    open_channel,
    reason,
)

FIRST_PAUSE_SECONDS: Final = 0.1
DECLARE_AGAIN_SECONDS: Final = 30.0
# A subscription on which nothing comes for so long is made anew, on another channel. RabbitMQ does not always
# tell of its end: it may hand messages of a queue that was deleted and declared again to a channel that knew
# the queue before, and lose them there.
RENEW_SECONDS: Final = 30.0

CONNECTED: Final = Gauge(
    "croupier_broker_connected", "1 while this connection to the broker is open and can work.", ["connection"]
)
BLOCKED: Final = Gauge(
    "croupier_broker_blocked",
    "1 while the broker takes nothing from this connection, for an alarm of its memory or disk.",
    ["connection"],
)

log = logging.getLogger(__name__)


class ChannelUser(Protocol):
    """Works with a fresh channel until it ends. Calls `established` once it can work."""

    async def __call__(self, channel: AbstractChannel, /) -> None: ...


class Declare(Protocol):
    """Declares what the user needs on the broker; declaring again changes nothing."""

    async def __call__(self, channel: AbstractChannel, /) -> None: ...


class DownListener(Protocol):
    """Gets each failed try with its error."""

    def __call__(self, why: str, /) -> None: ...


class BrokerConnection:
    """Keeps one connection open from one task. `declare` and then `use` get each fresh channel. While one is
    used, `declare` gets another now and then: the broker says nothing of an exchange, a binding or somebody
    else's queue that is deleted.

    - `use` raises LinkLost, as whatever it awaits of the broker does: the connection is closed, and there is
      a new one after a pause. Pauses double from FIRST_PAUSE_SECONDS to `longest_pause_seconds` until the
      user calls `established`.
    - `use` raises an error that nobody foresaw: the same, and the log has its traceback. A mistake of ours
      must not end a way in or out for good.
    - `use` returns: it gets another channel at once, on the same connection while that is sound, so that what
      is still under way on the earlier channel can end.
    - `use` is cancelled when the grace of `end` or `close` is over.

    An outage is one line in the log when it begins and one when it is over: it may last for days.
    """

    def __init__(
        self,
        amqp_url: str,
        *,
        name: str,
        declare: Declare,
        use: ChannelUser,
        longest_pause_seconds: float,
        confirms: bool = True,
        on_down: DownListener = lambda _why: None,
    ) -> None:
        self._amqp_url = amqp_url
        self._name = name
        self._declare = declare
        self._use = use
        self._confirms = confirms
        self._on_down = on_down
        self._pauses = Pauses(first_seconds=FIRST_PAUSE_SECONDS, longest_seconds=longest_pause_seconds)
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._declare_now = asyncio.Event()
        self.stopping = asyncio.Event()
        self.connected = False  # for readiness checks and metrics
        self.down = False  # from a failed try until the next `established`

    def start(self) -> None:
        """Returns at once, with or without a broker."""
        assert self._task is None, f"{self._name} starts once"
        CONNECTED.labels(self._name).set_function(lambda: self.connected)
        BLOCKED.labels(self._name).set_function(lambda: self.blocked)
        self._task = asyncio.create_task(self._run(), name=self._name)

    @property
    def blocked(self) -> bool:
        """Whether the broker has said that it takes nothing from this connection. The client library, whose
        version is locked, keeps that to itself; a test says when it does so otherwise."""
        transport = getattr(self._connection, "transport", None)
        unblocked = getattr(getattr(transport, "connection", None), "_Connection__connection_unblocked", None)
        return self.connected and unblocked is not None and not unblocked.is_set()

    def established(self) -> None:
        """Records that the user can work."""
        if self.down:
            log.info("%s: the broker is back", self._name)
        self.down = False
        self.connected = True
        self._pauses.reset()

    def declare_again(self) -> None:
        """Has all declared again soon; otherwise that is done every DECLARE_AGAIN_SECONDS."""
        self._declare_now.set()

    async def wait(self) -> None:
        """Returns after `end`; raises what ended the task if that is something else."""
        assert self._task is not None, "not started"
        await asyncio.shield(self._task)

    async def end(self, *, grace_seconds: float = 0.0) -> None:
        """Sets `stopping`, and gives out no more channels. The user has the grace to end by itself. The
        connection stays open for what is still under way on it."""
        self.stopping.set()
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=grace_seconds)
        await end_tasks([self._task])

    async def close(self, *, grace_seconds: float = 0.0) -> None:
        """Ends, and closes the connection."""
        await self.end(grace_seconds=grace_seconds)
        await self._drop()

    async def pause(self, seconds: float) -> None:
        """Sleeps, and wakes early when `stopping` is set."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

    async def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                with link_errors_as_one():
                    await self._use_one_channel()
            except LinkLost as error:
                self._report_down(str(error))
            except Exception as error:
                log.exception("%s: failed, trying again", self._name)
                self._report_down(reason(error))
            else:
                continue
            await self._drop()
            await self.pause(self._pauses.next_seconds())

    async def _use_one_channel(self) -> None:
        try:
            channel = await self._fresh_channel()
            await self._declare(channel)
            declaring = asyncio.create_task(self._keep_declaring())
            try:
                await self._use(channel)
            finally:
                await end_tasks([declaring])
        finally:
            self.connected = False

    async def _keep_declaring(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(DECLARE_AGAIN_SECONDS):
                    await self._declare_now.wait()
            self._declare_now.clear()
            try:
                with link_errors_as_one():
                    await self._declare_over_again()
            except LinkLost as error:
                log.warning("%s: what it needs on the broker cannot be declared: %s", self._name, error)
            except Exception:
                log.exception("%s: what it needs on the broker cannot be declared", self._name)

    async def _declare_over_again(self) -> None:
        """On a channel of its own, which a refusal closes."""
        if self._connection is None:
            return
        channel = await open_channel(self._connection, confirms=False)
        try:
            await self._declare(channel)
        finally:
            await close_quietly(channel)

    async def _fresh_channel(self) -> AbstractChannel:
        """On the open connection, or on a new one."""
        connection = self._connection
        if connection is None or connection.is_closed or not connection.connected.is_set():
            await self._drop()
            self._connection = connection = await connect(self._amqp_url, name=f"croupier {self._name}")
        return await open_channel(connection, confirms=self._confirms)

    def _report_down(self, why: str) -> None:
        if not self.down and not self.stopping.is_set():
            log.warning("%s: no broker, trying again: %s", self._name, why)
            self.down = True
        self._on_down(why)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        await close_quietly(connection)
