"""A connection that reconnects gives its user one fresh channel after the other, whatever ends them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel

from events import connection
from events.broker import LinkLost
from events.connection import BrokerConnection
from tests.support.conditions import HANG_S


@dataclass
class FakeBroker:
    """Opens numbered connections; each of its channels is the number of its connection."""

    opened: int = 0
    closed: int = 0
    away: int = 0  # how many more tries fail
    confirms: list[bool] = field(default_factory=list)

    async def connect(self, amqp_url: str, *, name: str) -> Any:
        if self.away:
            self.away -= 1
            raise LinkLost("nobody there")
        self.opened += 1
        return FakeConnection(self.opened)

    async def open_channel(self, opened: Any, *, confirms: bool) -> Any:
        self.confirms.append(confirms)
        return opened.number

    async def close_quietly(self, resource: Any) -> None:
        self.closed += resource is not None


@dataclass
class FakeConnection:
    number: int
    is_closed: bool = False
    connected: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.connected.set()


class User:
    """Notes its channels; each is ended by the next item of `ends`: an error, or None to return."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends = list(ends)
        self.channels: list[Any] = []
        self.declared: list[Any] = []
        self.down: list[str] = []
        self.at_rest = asyncio.Event()
        self.cancelled = False
        self.over = BrokerConnection(
            "amqp://unused",
            name="user",
            declare=self.declare,
            use=self.use,
            longest_pause_seconds=0.1,
            on_down=self.down.append,
        )

    async def declare(self, channel: AbstractChannel) -> None:
        self.declared.append(channel)

    async def use(self, channel: AbstractChannel) -> None:
        self.over.established()
        self.channels.append(channel)
        assert self.over.connected
        if self.ends:
            if (end := self.ends.pop(0)) is not None:
                raise end
            return
        self.at_rest.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    async def rest(self) -> None:
        async with asyncio.timeout(HANG_S):
            await self.at_rest.wait()


@pytest.fixture
async def broker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeBroker]:
    fake = FakeBroker()
    monkeypatch.setattr(connection, "connect", fake.connect)
    monkeypatch.setattr(connection, "open_channel", fake.open_channel)
    monkeypatch.setattr(connection, "close_quietly", fake.close_quietly)
    yield fake
    assert fake.opened == fake.closed, "every connection is closed in the end"


async def run(user: User) -> None:
    user.over.start()
    await user.rest()
    await user.over.close()
    assert not user.over.connected


async def test_a_user_that_returns_gets_another_channel_of_the_same_connection(broker: FakeBroker) -> None:
    user = User(None, None)
    await run(user)
    assert user.channels == user.declared == [1, 1, 1]
    assert user.down == []


async def test_a_lost_link_is_replaced_by_a_new_one(broker: FakeBroker) -> None:
    user = User(LinkLost("gone"), ConnectionResetError("reset"))
    await run(user)
    assert user.channels == [1, 2, 3]
    assert user.down == ["gone", "ConnectionResetError: reset"]


async def test_an_error_that_nobody_foresaw_is_logged_whole_and_ends_nothing(
    broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    user = User(LookupError("a mistake"))
    await run(user)
    assert user.channels == [1, 2]
    assert user.down == ["LookupError: a mistake"]
    assert "Traceback" in caplog.text


async def test_an_outage_is_one_line_when_it_begins_and_one_when_it_is_over(
    broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.away = 3
    user = User()
    with caplog.at_level(logging.INFO, logger="events.connection"):
        await run(user)
    assert user.down == ["nobody there"] * 3
    said = [record.message for record in caplog.records if record.name == "events.connection"]
    assert said == [
        "user: no broker, trying again: nobody there",
        "user: the broker is back",
    ]


async def test_whoever_does_not_end_within_the_grace_is_cancelled(broker: FakeBroker) -> None:
    user = User()
    await run(user)
    assert user.cancelled


async def test_a_cancellation_that_is_swallowed_is_made_again(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a library's wait does whose answer comes at the same moment."""
    monkeypatch.setattr("events.broker.CANCEL_AGAIN_SECONDS", 0.01)
    user = User()

    async def deaf(_channel: AbstractChannel) -> None:
        user.at_rest.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    user.over._use = deaf
    user.over.start()
    async with asyncio.timeout(HANG_S):
        await user.at_rest.wait()
        await user.over.close()


async def test_a_user_may_end_by_itself_within_the_grace(broker: FakeBroker) -> None:
    ended = False

    async def use(channel: AbstractChannel) -> None:
        nonlocal ended
        polite.established()
        await polite.stopping.wait()
        await asyncio.sleep(0.01)
        ended = True

    async def declare(channel: AbstractChannel) -> None: ...

    polite = BrokerConnection(
        "amqp://unused", name="polite", declare=declare, use=use, longest_pause_seconds=1, confirms=False
    )
    polite.start()
    await asyncio.sleep(0)
    await polite.close(grace_seconds=HANG_S)
    await polite.wait()
    assert ended
    assert broker.confirms == [False]


async def test_ending_keeps_the_connection_for_what_is_under_way_on_it(broker: FakeBroker) -> None:
    user = User()
    user.over.start()
    await user.rest()
    await user.over.end()
    assert broker.closed == 0
    await user.over.close()


async def test_a_pause_is_over_when_it_stops(broker: FakeBroker) -> None:
    user = User()
    async with asyncio.timeout(HANG_S):
        pausing = asyncio.create_task(user.over.pause(600))
        await asyncio.sleep(0)
        await user.over.close()
        await pausing


async def test_what_was_never_started_can_be_closed(broker: FakeBroker) -> None:
    await User().over.close()
