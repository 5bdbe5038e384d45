"""A connection to the broker ends whatever happens to it: the garbage collector finds none that is open."""

import asyncio

import pytest
from yarl import URL

from events import broker
from events.broker import SelfClosingConnection, close_quietly


class SilentTransport:
    """Never says that it is closed."""

    async def close(self, _error: object) -> None:
        await asyncio.Event().wait()


async def test_a_close_that_is_given_up_half_way_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "CLOSE_SECONDS", 0.01)
    connection = SelfClosingConnection(URL("amqp://guest:guest@127.0.0.1:1/"))
    connection.transport = SilentTransport()  # type: ignore[assignment]
    await close_quietly(connection)
    assert connection.is_closed
