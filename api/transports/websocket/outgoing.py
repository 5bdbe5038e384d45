"""What waits to be sent over one socket: a little, for a peer that does not read must cost no memory."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from starlette.types import Send

WAITING_LIMIT: Final = 64
# A message that the peer's network does not take for so long is not waited for any longer.
SEND_LIMIT_S: Final = 5.0


class Outgoing:
    """`run` sends one message after the other. `cut` is called when the peer does not keep up, or is gone."""

    def __init__(self, send: Send, cut: Callable[[], None]) -> None:
        self._send, self._cut = send, cut
        self._waiting: asyncio.Queue[str] = asyncio.Queue(WAITING_LIMIT)
        self._closed = False

    async def put(self, message: dict[str, Any]) -> None:
        """Waits for room: who asks and does not read the answers is not read either."""
        if not self._closed:
            await self._waiting.put(_text(message))

    def push(self, message: dict[str, Any]) -> None:
        """Queues a push and never waits. Where there is no room, the client does not keep up."""
        if self._closed:
            return
        try:
            self._waiting.put_nowait(_text(message))
        except asyncio.QueueFull:
            self.close()
            self._cut()

    async def run(self) -> None:
        """Until it is cancelled, or the peer is given up."""
        try:
            while True:
                text = await self._waiting.get()
                async with asyncio.timeout(SEND_LIMIT_S):
                    await self._send({"type": "websocket.send", "text": text})
                self._waiting.task_done()
        except OSError:  # the peer is gone, or did not take the message in time
            self.close()
            self._cut()

    async def all_sent(self) -> None:
        """Returns when nothing waits any more."""
        await self._waiting.join()

    def close(self) -> None:
        """Takes no more messages and drops those that wait, which wakes the tasks that wait for room."""
        self._closed = True
        while not self._waiting.empty():
            self._waiting.get_nowait()
            self._waiting.task_done()


def _text(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
