"""The publisher against a real RabbitMQ, also while the cable to it is cut or the broker hangs."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from aio_pika import DeliveryMode

from events import topology
from events.catalogue import CONTENT_TYPE, envelope
from events.publisher import (
    KEY_ID_HEADER,
    SIGNATURE_HEADER,
    BrokerUnavailable,
    Publisher,
    PublishUncertain,
    Unroutable,
)
from tests.integration.events_on_broker import (
    SIGNER,
    VERIFIER,
    cable_to,
    channel_to,
    fresh_operator,
    game_event,
    listener,
    routing_key_of,
    until,
)
from tests.support import conditions
from tests.support.conditions import HANG_S

UNUSED_URL = "amqp://guest:s3cret@127.0.0.1:1/"
# A caller who would wait for longer than any test: an answer within HANG_S did not use up this time.
PATIENT_S: Final = 600.0


@asynccontextmanager
async def publishing(amqp_url: str) -> AsyncIterator[Publisher]:
    """Once it is connected, if there is a broker: after a try that failed, all are refused at once."""
    publisher = Publisher(amqp_url, SIGNER)
    publisher.start()
    try:
        if amqp_url != UNUSED_URL:
            await until(lambda: publisher.connected)
        yield publisher
    finally:
        await publisher.close()


def refused_at_once(publishing_it: Coroutine[Any, Any, None]) -> str:
    """Why. It is refused before it has waited for anything, however short."""
    with pytest.raises(BrokerUnavailable) as caught:
        publishing_it.send(None)
    return str(caught.value)


async def test_an_event_arrives_whole_persistent_and_signed(amqp_url: str) -> None:
    operator = fresh_operator()
    event = game_event(operator, 1)
    async with listener(amqp_url, operator) as heard, publishing(amqp_url) as publisher:
        await publisher.publish(event, timeout_seconds=HANG_S)
        message = await asyncio.wait_for(heard.get(), HANG_S)
    assert message.body == envelope(event)
    assert message.routing_key == routing_key_of(operator)
    assert message.message_id == event.event_id
    assert message.content_type == CONTENT_TYPE
    assert message.delivery_mode == DeliveryMode.PERSISTENT
    key_id, signature = message.headers[KEY_ID_HEADER], message.headers[SIGNATURE_HEADER]
    VERIFIER.verify(message.body, key_id=str(key_id), value=str(signature))


async def test_hundreds_of_publishes_run_at_once(amqp_url: str) -> None:
    operator = fresh_operator()
    async with listener(amqp_url, operator) as heard, publishing(amqp_url) as publisher:
        await asyncio.gather(
            *(publisher.publish(game_event(operator, n), timeout_seconds=HANG_S) for n in range(300))
        )
        await until(lambda: heard.qsize() == 300)


async def test_connecting_makes_sure_that_rounds_have_a_taker(amqp_url: str) -> None:
    async with publishing(amqp_url) as publisher:
        await until(lambda: publisher.connected)
    async with channel_to(amqp_url) as channel:
        await channel.declare_queue(topology.STATISTICS.name, passive=True)
        await channel.declare_queue(topology.STATISTICS.dead_name, passive=True)


async def test_an_event_that_no_queue_takes_comes_back(amqp_url: str) -> None:
    operator = fresh_operator()
    async with publishing(amqp_url) as publisher:
        with pytest.raises(Unroutable):
            await publisher.publish(game_event(operator, 1), timeout_seconds=HANG_S)
        async with listener(amqp_url, operator):
            await publisher.publish(game_event(operator, 1), timeout_seconds=HANG_S)


@pytest.mark.parametrize("of_ours", ["STATISTICS", "INCIDENTS"])
async def test_a_queue_deleted_while_nobody_consumes_it_is_made_again(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch, of_ours: str
) -> None:
    """A queue of its own stands in: the real one may have its consumer, and other tests' events."""
    queue = topology.ConsumerQueue(name=fresh_operator(), bindings=("*.*.game.event",))
    monkeypatch.setattr(topology, of_ours, queue)
    event = game_event(fresh_operator(), 1)
    async with channel_to(amqp_url) as channel:
        async with publishing(amqp_url) as publisher:
            await publisher.publish(event, timeout_seconds=HANG_S)
            await channel.queue_delete(queue.name)

            async def taken() -> bool:
                try:
                    await publisher.publish(event, timeout_seconds=HANG_S)
                except Unroutable:
                    return False
                return True

            assert not await taken(), "it is gone"
            await conditions.until(taken)
            assert publisher.connected
            await channel.declare_queue(queue.name, passive=True)
        # A publisher that still runs might make it once more, for events of all the other tests.
        await channel.queue_delete(queue.name)
        await channel.queue_delete(queue.dead_name)


async def test_two_publishes_of_one_unroutable_event_both_come_back(amqp_url: str) -> None:
    """The client library tells returned messages apart by message_id alone."""
    event = game_event(fresh_operator(), 1)
    async with publishing(amqp_url) as publisher:
        results = await asyncio.gather(
            *(publisher.publish(event, timeout_seconds=HANG_S) for _ in range(8)), return_exceptions=True
        )
    assert [type(result) for result in results] == [Unroutable] * 8


async def test_without_a_broker_it_refuses_within_the_callers_time() -> None:
    async with publishing(UNUSED_URL) as publisher:
        async with asyncio.timeout(HANG_S):
            with pytest.raises(BrokerUnavailable) as caught:
                await publisher.publish(game_event("acme", 1), timeout_seconds=PATIENT_S)
        assert "s3cret" not in str(caught.value)
        # Known to be down.
        assert "s3cret" not in refused_at_once(
            publisher.publish(game_event("acme", 1), timeout_seconds=PATIENT_S)
        )
    unstarted = Publisher(UNUSED_URL, SIGNER)  # nobody reports whether there is a broker
    async with asyncio.timeout(HANG_S):
        with pytest.raises(BrokerUnavailable):
            await unstarted.publish(game_event("acme", 1), timeout_seconds=0.1)


async def test_it_recovers_by_itself_from_a_cut(amqp_url: str) -> None:
    operator = fresh_operator()
    async with (
        listener(amqp_url, operator) as heard,
        cable_to(amqp_url) as (cable, url),
        publishing(url) as publisher,
    ):
        await publisher.publish(game_event(operator, 1), timeout_seconds=HANG_S)
        await cable.cut()
        async with asyncio.timeout(HANG_S):
            with pytest.raises((BrokerUnavailable, PublishUncertain)):
                await publisher.publish(game_event(operator, 2), timeout_seconds=PATIENT_S)
        await until(lambda: not publisher.connected)
        await cable.repair()
        await until(lambda: publisher.connected)
        await publisher.publish(game_event(operator, 3), timeout_seconds=HANG_S)
        await until(lambda: heard.qsize() == 2)


async def test_a_cut_in_the_middle_leaves_every_publish_answered(amqp_url: str) -> None:
    """Each publish either is confirmed or says so: what was confirmed has arrived, and nobody hangs."""
    operator = fresh_operator()
    confirmed: list[int] = []
    unsure: list[int] = []

    async def send(publisher: Publisher, number: int) -> None:
        try:
            await publisher.publish(game_event(operator, number), timeout_seconds=HANG_S / 4)
        except (BrokerUnavailable, PublishUncertain):
            unsure.append(number)
        else:
            confirmed.append(number)

    async with (
        listener(amqp_url, operator) as heard,
        cable_to(amqp_url) as (cable, url),
        publishing(url) as publisher,
    ):
        await publisher.publish(game_event(operator, 0), timeout_seconds=HANG_S)
        sends = [asyncio.create_task(send(publisher, n)) for n in range(1, 401)]
        await until(lambda: len(confirmed) > 20)
        await cable.cut()
        await until(lambda: not publisher.connected)
        await cable.repair()
        async with asyncio.timeout(HANG_S):
            await asyncio.gather(*sends)
        assert len(confirmed) + len(unsure) == 400
        wanted = {f"{operator}-{number}" for number in confirmed}
        arrived: set[str | None] = set()
        async with asyncio.timeout(HANG_S):
            while not wanted <= arrived:
                arrived.add((await heard.get()).message_id)


async def test_a_broker_that_hangs_costs_the_callers_time_and_no_more(amqp_url: str) -> None:
    operator = fresh_operator()
    async with (
        listener(amqp_url, operator) as heard,
        cable_to(amqp_url) as (cable, url),
        publishing(url) as publisher,
    ):
        await publisher.publish(game_event(operator, 1), timeout_seconds=HANG_S)
        cable.freeze()
        for number in (2, 3):
            async with asyncio.timeout(HANG_S):  # nothing else would end it: the broker never answers
                with pytest.raises((PublishUncertain, BrokerUnavailable)):
                    await publisher.publish(game_event(operator, number), timeout_seconds=0.5)
        await cable.repair()
        await until(lambda: publisher.connected)
        await publisher.publish(game_event(operator, 4), timeout_seconds=HANG_S)
        await until(lambda: heard.qsize() >= 2)


async def test_a_callers_cancellation_stays_one_and_hurts_nobody(amqp_url: str) -> None:
    operator = fresh_operator()
    async with (
        listener(amqp_url, operator),
        cable_to(amqp_url) as (cable, url),
        publishing(url) as publisher,
    ):
        await publisher.publish(game_event(operator, 1), timeout_seconds=HANG_S)
        cable.freeze()
        task = asyncio.create_task(publisher.publish(game_event(operator, 2), timeout_seconds=PATIENT_S))
        await until(lambda: publisher._lane is not None and publisher._lane._under_way == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await cable.repair()
        await publisher.publish(game_event(operator, 2), timeout_seconds=HANG_S)


async def test_closing_is_quick_even_when_the_broker_hangs(amqp_url: str) -> None:
    async with cable_to(amqp_url) as (cable, url):
        publisher = Publisher(url, SIGNER)
        publisher.start()
        await until(lambda: publisher.connected)
        cable.freeze()
        async with asyncio.timeout(HANG_S):
            await publisher.close()
        refused_at_once(publisher.publish(game_event("acme", 2), timeout_seconds=PATIENT_S))
