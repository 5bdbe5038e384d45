"""A game client's end of a socket, for tests."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, get_args
from uuid import uuid4

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.transports.websocket.messages import ANSWERS, PUSHES
from tests.support.conditions import HANG_S

Message = dict[str, Any]
_MODELS: Final = {
    (get_args(model.model_fields["type"].annotation)[0], "id" in model.model_fields): model
    for model in (*ANSWERS, *PUSHES)
}


def checked(text: str | bytes) -> Message:
    """The message, after a check that it has every field of its model, and no other."""
    message: Message = json.loads(text)
    model = _MODELS[message["type"], "id" in message]
    model.model_validate_json(text)
    assert set(message) == set(model.model_fields), message
    return message


@dataclass
class Socket:
    """Answers are found by their ids; what comes without one is in `pushed`, in its order."""

    connection: ClientConnection
    pushed: "asyncio.Queue[Message]" = field(default_factory=asyncio.Queue)
    hello: Message = field(default_factory=dict)
    _answers: dict[str, "asyncio.Future[Message]"] = field(default_factory=dict)

    async def ask(self, kind: str, **fields: Any) -> Message:
        """The answer to a message."""
        async with asyncio.timeout(HANG_S):
            return await (await self.send(kind, **fields))

    async def send(self, kind: str, **fields: Any) -> "asyncio.Future[Message]":
        """Sends a message; the future has the answer."""
        message = {"type": kind, "id": uuid4().hex, **fields}
        answer = self._answers[message["id"]] = asyncio.get_running_loop().create_future()
        await self.connection.send(json.dumps(message))
        return answer

    async def push(self, kind: str) -> Message:
        """The next push, which must be of this kind."""
        message = await self.next_push()
        assert message["type"] == kind, message
        return message

    async def next_push(self) -> Message:
        async with asyncio.timeout(HANG_S):
            return await self.pushed.get()

    async def nothing_pushed(self) -> None:
        """After a moment in which a push would have come. On a slow machine it might come later: this misses
        a fault then, and finds none that is not there."""
        await asyncio.sleep(0.3)
        assert self.pushed.empty(), self.pushed.get_nowait()

    async def closed(self) -> int | None:
        """The code that the other side closed it with."""
        async with asyncio.timeout(HANG_S):
            await self.connection.wait_closed()
        return self.connection.close_code

    async def read(self) -> None:
        """Until the socket is closed, or something came that must not."""
        try:
            async for text in self.connection:
                message = checked(text)
                if "id" not in message or message["id"] is None:
                    self.pushed.put_nowait(message)
                else:
                    self._answers.pop(message["id"]).set_result(message)
        except ConnectionClosed:
            pass
        finally:  # a test that waits sees its wait cancelled, and this task's error
            for answer in self._answers.values():
                answer.cancel()


def address(base_url: str) -> str:
    return base_url.replace("http://", "ws://") + "/v1/game/ws"


@asynccontextmanager
async def opened(base_url: str, token: str, **hello: Any) -> AsyncIterator[Socket]:
    """A socket after its hello."""
    async with connect(address(base_url), compression=None, open_timeout=HANG_S) as connection:
        await connection.send(json.dumps({"type": "hello", "token": token, **hello}))
        first = checked(await asyncio.wait_for(connection.recv(), HANG_S))
        assert first["type"] == "hello", first
        socket = Socket(connection, hello=first)
        reading = asyncio.create_task(socket.read())
        try:
            yield socket
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def refused(base_url: str, first: str | bytes) -> tuple[Message, int]:
    """The problem that a first message is answered with, and the code that the socket is closed with."""
    async with connect(address(base_url), compression=None) as connection:
        await connection.send(first)
        return await last_words(connection)


async def last_words(connection: ClientConnection) -> tuple[Message, int]:
    async with asyncio.timeout(HANG_S):
        message = checked(await connection.recv())
        with pytest.raises(ConnectionClosed):
            await connection.recv()
    assert connection.close_code is not None
    return message, connection.close_code
