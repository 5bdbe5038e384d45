"""Numbers that move by themselves: one look for all browsers of an operator, sent to each as Server-Sent
Events.

A browser that reads slowly gets the newest look, and misses those between. A stream ends with its session,
and does not prolong it: whoever only watches is not there.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from storage.database import AWAY

PERIOD_S: Final = 2.0
# So that proxies, and we ourselves, see a connection that is gone while a look takes long.
HEARTBEAT_S: Final = 10.0
# Browsers open six connections to a host at most, and the other pages need some.
STREAMS_OF_SESSION: Final = 4
STREAMS_OF_OPERATOR: Final = 32
STREAMS: Final = 128

log = logging.getLogger("croupier.console")

Look = Callable[[str], Awaitable[str]]
Lasting = Callable[[Collection[str]], Awaitable[Collection[str]]]


def event(name: str, data: str = "") -> str:
    """As an event stream has it; `data` is one line."""
    return f"event: {name}\ndata: {data}\n\n"


OVER: Final = event("over")
FULL: Final = event("full")
ENDING: Final = ": the console ends\n\n"
HEARTBEAT: Final = ": still here\n\n"


@dataclass(eq=False, slots=True)
class Stream:
    """What one browser gets. It holds one message: a newer one takes its place."""

    secret: str = field(repr=False)
    operator_id: str
    _message: str = ""
    _last: bool = False
    _there: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, message: str, *, last: bool = False) -> None:
        if not self._last:
            self._message, self._last = message, last
            self._there.set()

    async def messages(self) -> AsyncIterator[str]:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._there.wait()
            except TimeoutError:
                yield HEARTBEAT
                continue
            self._there.clear()
            last = self._last
            yield self._message
            if last:
                return


@dataclass(eq=False, slots=True)
class _Watch:
    """Everybody who looks at one operator's numbers, the task that does so for them, and what it last saw."""

    streams: list[Stream] = field(default_factory=list)
    seen: str = ""
    task: asyncio.Task[None] | None = None


class Live:
    """`look` returns an operator's numbers as one line of text; `lasting` says of which of these secrets the
    sessions last."""

    def __init__(self, look: Look, lasting: Lasting, *, period_s: float = PERIOD_S) -> None:
        self._look, self._lasting, self._period_s = look, lasting, period_s
        self._watches: dict[str, _Watch] = {}
        self._closed = False

    @property
    def takes_more(self) -> bool:
        """Whether there is room for one more stream."""
        streams = sum(len(watch.streams) for watch in self._watches.values())
        return not self._closed and streams < STREAMS

    async def messages(self, *, secret: str, operator_id: str) -> AsyncIterator[str]:
        """For one browser, until its session ends; none when there is no room."""
        if not self.takes_more:
            return
        stream = Stream(secret, operator_id)
        self._join(stream)
        try:
            async for message in stream.messages():
                yield message
        finally:
            self._leave(stream)

    async def close(self) -> None:
        """Ends all streams, and takes no more."""
        self._closed = True
        watches = list(self._watches.values())
        for watch in watches:
            for stream in watch.streams:
                stream.send(ENDING, last=True)
            watch.streams.clear()
        tasks = [watch.task for watch in watches if watch.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _join(self, stream: Stream) -> None:
        watch = self._watches.setdefault(stream.operator_id, _Watch())
        # The oldest makes room: it may be of a browser that is long gone.
        of_session = [one for one in watch.streams if one.secret == stream.secret]
        if len(of_session) >= STREAMS_OF_SESSION:
            self._end(of_session[0], FULL)
        elif len(watch.streams) >= STREAMS_OF_OPERATOR:
            self._end(watch.streams[0], FULL)
        watch.streams.append(stream)
        if watch.seen:
            stream.send(watch.seen)
        if watch.task is None:
            name = f"looks for {stream.operator_id}"
            watch.task = asyncio.create_task(self._run(stream.operator_id, watch), name=name)

    def _leave(self, stream: Stream) -> None:
        watch = self._watches.get(stream.operator_id)
        if watch is not None and stream in watch.streams:
            watch.streams.remove(stream)

    def _end(self, stream: Stream, message: str) -> None:
        stream.send(message, last=True)
        self._leave(stream)

    async def _run(self, operator_id: str, watch: _Watch) -> None:
        """Looks for as long as somebody does."""
        while watch.streams:
            try:
                await self._turn(operator_id, watch)
            except AWAY:
                watch.seen = event("away")
            except Exception:
                log.exception("a look at the numbers of an operator has failed")
                watch.seen = event("away")
            for stream in watch.streams:
                stream.send(watch.seen)
            await asyncio.sleep(self._period_s)
        del self._watches[operator_id]

    async def _turn(self, operator_id: str, watch: _Watch) -> None:
        asked = {stream.secret for stream in watch.streams}
        over = asked.difference(await self._lasting(asked))
        for stream in [one for one in watch.streams if one.secret in over]:
            self._end(stream, OVER)
        if watch.streams:
            watch.seen = event("now", await self._look(operator_id))
