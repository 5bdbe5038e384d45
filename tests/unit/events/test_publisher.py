"""The faults of a publish that a real broker does not produce on demand."""

import asyncio
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractChannel, AbstractExchange
from aio_pika.exceptions import ChannelInvalidStateError, DeliveryError, PublishError
from pamqp.commands import Basic

from contracts.events import RecordedEvent
from events.broker import LinkLost, Pauses, link_errors_as_one
from events.publisher import (
    SECOND_KEYS_HEADER,
    BrokerUnavailable,
    Publisher,
    PublishUncertain,
    Unroutable,
    _Lane,
)
from tests.support.conditions import HANG_S

EVENT = RecordedEvent(
    event_id="e-1",
    type="round.settled",
    operator_id="acme",
    game_id="dice",
    subject="r-1",
    sequence=1,
    occurred_at="2026-11-22T16:00:00Z",
    data='{"secret": "player-7"}',
)


class FakeSigner:
    def sign(self, body: bytes) -> Any:
        return SimpleNamespace(key_id="k", value="v")


@dataclass
class FakeChannel:
    """Both the channel and its exchange: answers each publish with `answer`, or never."""

    answer: BaseException | None = None
    hang: bool = False
    is_closed: bool = False
    closed: bool = False
    close_callbacks: set[Any] = field(default_factory=set)
    published: list[str] = field(default_factory=list)

    async def publish(self, message: Any, key: str, *, mandatory: bool) -> None:
        assert mandatory
        self.published.append(message.message_id)
        if self.hang:
            await asyncio.Event().wait()
        if self.answer is not None:
            raise self.answer

    async def close(self) -> None:
        self.closed = True


def publisher_on(channel: FakeChannel) -> Publisher:
    """A publisher whose keeper has just offered a lane on `channel`."""
    publisher = Publisher("amqp://unused", FakeSigner())
    publisher._offer(_Lane(cast(AbstractChannel, channel), cast(AbstractExchange, channel)))
    return publisher


def test_a_closed_rounds_event_carries_its_players_key_in_a_header_that_the_broker_takes_off() -> None:
    publisher = Publisher("amqp://unused", FakeSigner())
    assert SECOND_KEYS_HEADER not in publisher._message(EVENT).headers
    of_a_player = replace(EVENT, data='{"player_id": "anna"}')
    assert publisher._message(of_a_player).headers[SECOND_KEYS_HEADER] == ["player.acme.anna"]


async def test_a_return_is_unroutable_and_tells_nothing_of_the_body() -> None:
    returned = Basic.Return(312, "NO_ROUTE player-7", "croupier.events", "acme.dice.round.settled")
    message = cast(Any, SimpleNamespace(delivery=returned))
    publisher = publisher_on(FakeChannel(answer=PublishError(message, returned)))
    with pytest.raises(Unroutable) as caught:
        await publisher.publish(EVENT, timeout_seconds=HANG_S)
    assert "player-7" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert publisher.connected


async def test_a_nack_is_uncertain_and_keeps_the_channel() -> None:
    publisher = publisher_on(FakeChannel(answer=DeliveryError(None, cast(Any, "nack"))))
    with pytest.raises(PublishUncertain):
        await publisher.publish(EVENT, timeout_seconds=HANG_S)
    assert publisher.connected


@pytest.mark.parametrize(
    "error",
    [
        ChannelInvalidStateError("closed"),
        ConnectionResetError("reset"),
        RuntimeError("no transport"),
        asyncio.CancelledError("the channel was closed under it"),
    ],
)
async def test_a_lost_channel_is_uncertain_and_not_used_again(error: BaseException) -> None:
    publisher = publisher_on(FakeChannel(answer=error))
    with pytest.raises(PublishUncertain):
        await publisher.publish(EVENT, timeout_seconds=HANG_S)
    assert not publisher.connected


async def test_a_late_confirm_is_uncertain_and_the_channel_is_retired_not_closed() -> None:
    channel = FakeChannel(hang=True)
    publisher = publisher_on(channel)
    with pytest.raises(PublishUncertain, match="not confirmed"):
        await publisher.publish(EVENT, timeout_seconds=0.05)
    assert not publisher.connected
    assert not channel.closed  # others may still get their confirms on it
    with pytest.raises(BrokerUnavailable):
        await publisher.publish(EVENT, timeout_seconds=0.05)
    assert channel.published == ["e-1"]


async def test_a_cancelled_caller_is_cancelled() -> None:
    publisher = publisher_on(FakeChannel(hang=True))
    task = asyncio.create_task(publisher.publish(EVENT, timeout_seconds=HANG_S))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert publisher.connected


async def test_the_same_event_is_published_by_one_caller_at_a_time() -> None:
    channel = FakeChannel(hang=True)
    publisher = publisher_on(channel)
    first = asyncio.create_task(publisher.publish(EVENT, timeout_seconds=HANG_S))
    await asyncio.sleep(0.01)
    with pytest.raises(BrokerUnavailable, match="still being published"):
        await publisher.publish(EVENT, timeout_seconds=0.05)
    assert channel.published == ["e-1"]
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    channel.hang = False
    await publisher.publish(EVENT, timeout_seconds=HANG_S)
    assert channel.published == ["e-1", "e-1"]
    assert publisher._ids_under_way == {}


async def test_a_keeper_that_fails_for_good_tells_the_callers() -> None:
    publisher = Publisher("not a url", FakeSigner())
    publisher.start()
    await asyncio.sleep(0.05)
    with pytest.raises(BrokerUnavailable):
        await publisher.publish(EVENT, timeout_seconds=HANG_S)
    await publisher.close()


def test_pauses_grow_to_a_limit_and_start_over() -> None:
    pauses = Pauses(first_seconds=0.1, longest_seconds=0.5)
    assert [pauses.next_seconds() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    pauses.reset()
    assert pauses.next_seconds() == 0.1


async def test_only_link_errors_become_a_lost_link() -> None:
    with pytest.raises(LinkLost, match="OSError: gone"), link_errors_as_one():
        raise OSError("gone")
    with pytest.raises(KeyError), link_errors_as_one():
        raise KeyError("a bug")
