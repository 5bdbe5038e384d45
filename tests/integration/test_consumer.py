"""The consumer kit against a real RabbitMQ: batches, poison, outages of its store and of the broker."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from events import connection, topology
from events.catalogue import EventInvalid
from events.consumer import Consumer, Unprocessable
from events.dead_letters import REASON_HEADER, ROUTING_KEY_HEADER
from events.publisher import KEY_ID_HEADER, SIGNATURE_HEADER, Publisher
from events.topology import EVENTS_EXCHANGE, ConsumerQueue
from tests.integration.events_on_broker import (
    SIGNER,
    VERIFIER,
    cable_to,
    channel_to,
    fresh_operator,
    game_event,
    queue_of,
    routing_key_of,
    until,
)
from tests.support import conditions
from tests.support.conditions import HANG_S, PAUSE_S
from tests.support.raw_properties import (
    HEADERS,
    MESSAGE_ID,
    NESTED,
    TYPE,
    long_text,
    publish_raw,
    short,
    table,
)


class StoreAway(Exception):
    """Stands for a database that is away."""


def event_id_of(body: bytes) -> str:
    """All that these tests want to know of an event."""
    try:
        return str(json.loads(body)["id"])
    except (ValueError, KeyError):
        raise EventInvalid("not an event") from None


class Store:
    """A handler with an inbox: remembers each event once, and fails on demand."""

    def __init__(self) -> None:
        self.applied: list[str] = []
        self.batches: list[int] = []
        self.calls = 0
        self.away = False
        self.poison: dict[str, Exception] = {}

    async def __call__(self, events: Sequence[str], /) -> None:
        self.calls += 1
        await asyncio.sleep(0)
        if self.away:
            raise StoreAway("connection refused")
        for event in events:
            if event in self.poison:
                raise self.poison[event]
        self.batches.append(len(events))
        self.applied += [event for event in events if event not in self.applied]


class Bench:
    """One test's own operator, queue and way to publish."""

    def __init__(self, amqp_url: str, channel: AbstractChannel, publisher: Publisher) -> None:
        self.amqp_url = amqp_url
        self.operator = fresh_operator()
        self.queue: ConsumerQueue = queue_of(self.operator)
        self.channel = channel
        self.publisher = publisher

    async def publish(self, numbers: Sequence[int]) -> list[str]:
        events = [game_event(self.operator, number) for number in numbers]
        await asyncio.gather(*(self.publisher.publish(event, timeout_seconds=HANG_S) for event in events))
        return [event.event_id for event in events]

    async def publish_raw(self, body: bytes, *, message_id: str, signed: bool = True) -> None:
        signature = SIGNER.sign(body)
        headers = {SIGNATURE_HEADER: signature.value, KEY_ID_HEADER: signature.key_id} if signed else {}
        exchange = await self.channel.get_exchange(EVENTS_EXCHANGE, ensure=False)
        await exchange.publish(
            Message(body, headers=dict(headers), message_id=message_id),
            routing_key_of(self.operator),
        )

    async def waiting(self, name: str | None = None) -> int:
        """Messages that wait in the queue, or in another. Those that a consumer holds do not count."""
        queue = await self.channel.declare_queue(name or self.queue.name, passive=True)
        return queue.declaration_result.message_count or 0

    async def until_waiting(self, count: int) -> None:
        async def there() -> bool:
            return await self.waiting() == count

        await conditions.until(there)

    async def dead_letters(self, count: int) -> list[AbstractIncomingMessage]:
        queue = await self.channel.get_queue(self.queue.dead_name, ensure=False)
        letters: list[AbstractIncomingMessage] = []
        async with asyncio.timeout(HANG_S):
            while len(letters) < count:
                letter = await queue.get(no_ack=True, fail=False)
                if letter is None:
                    await asyncio.sleep(PAUSE_S)
                else:
                    letters.append(letter)
        assert await queue.get(no_ack=True, fail=False) is None
        return letters

    def consumer(self, store: Store, **options: Any) -> Consumer[str]:
        return Consumer(
            options.pop("amqp_url", self.amqp_url),
            queue=self.queue,
            parse=event_id_of,
            handler=store,
            transient=(StoreAway,),
            verifier=VERIFIER,
            **options,
        )

    @asynccontextmanager
    async def consuming(self, store: Store, **options: Any) -> AsyncIterator[Consumer[str]]:
        consumer = self.consumer(store, **options)
        consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop(grace_seconds=HANG_S)


@pytest.fixture
async def bench(amqp_url: str) -> AsyncIterator[Bench]:
    publisher = Publisher(amqp_url, SIGNER)
    publisher.start()
    await until(lambda: publisher.connected)
    async with channel_to(amqp_url) as channel:
        bench = Bench(amqp_url, channel, publisher)
        await topology.declare(channel, bench.queue, timeout_seconds=HANG_S)
        yield bench
        await publisher.close()
        await channel.queue_delete(bench.queue.name)
        await channel.queue_delete(bench.queue.dead_name)


async def test_everything_is_applied_in_order_and_in_batches(bench: Bench) -> None:
    ids = []
    for number in range(50):
        ids += await bench.publish([number])
    store = Store()
    # A batch that is not full lingers for long enough that the broker's next message is there.
    async with bench.consuming(store, batch_limit=20, linger_seconds=0.3):
        await until(lambda: len(store.applied) == 50)
    assert store.applied == ids
    assert len(store.batches) < 25
    assert max(store.batches) <= 20
    assert await bench.waiting() == 0
    assert await bench.dead_letters(0) == []


async def test_a_single_event_does_not_wait_for_company(bench: Bench) -> None:
    store = Store()
    async with bench.consuming(store) as consumer:
        await until(lambda: consumer.connected)
        await bench.publish([1])
        await until(lambda: len(store.applied) == 1)
    assert store.batches == [1]


async def test_what_cannot_be_used_is_buried_with_its_reason_and_blocks_nothing(bench: Bench) -> None:
    await bench.publish([1])
    await bench.publish_raw(b"not an event", message_id="junk")
    await bench.publish_raw(b"{}", message_id="unsigned", signed=False)
    await bench.publish([2])
    store = Store()
    async with bench.consuming(store):
        await until(lambda: len(store.applied) == 2)
        junk, unsigned = await bench.dead_letters(2)
    assert (junk.message_id, junk.body) == ("junk", b"not an event")
    assert junk.headers[REASON_HEADER] == "not an event"
    assert junk.headers[ROUTING_KEY_HEADER] == routing_key_of(bench.operator)
    assert (unsigned.message_id, unsigned.headers[REASON_HEADER]) == ("unsigned", "the event is not signed")
    assert await bench.waiting() == 0


BAD_HEADERS: Final = {
    "bytes that are no UTF-8": table((b"trace", long_text(b"\xff\xfe\x00\x01"))),
    "nearly as large as a frame": table((b"note", long_text(b"x" * 130_960))),
    "thousands of values": table((b"a", b"A" + (100_000).to_bytes(4, "big") + b"V" * 100_000)),
    "nested without end": NESTED,
    "a number that is read and cannot be written": table((b"n", b"D\x00\xff\xff\xff\xff")),
    "a name that is too long": table((b"n" * 200, b"V")),
    "further routing keys": table(
        (b"CC", b"A" + (26 + 5).to_bytes(4, "big") + long_text(b"croupier.statistics.dead.x"))
    ),
}


@pytest.mark.parametrize("headers", BAD_HEADERS.values(), ids=BAD_HEADERS)
async def test_a_bad_header_costs_its_own_event_and_no_other(bench: Bench, headers: bytes) -> None:
    """It is handed out once: what is given back with it would come again."""
    fields = {HEADERS: headers, MESSAGE_ID: short(b"\xffbad"), TYPE: short(b"\xfe")}
    await publish_raw(bench.channel, EVENTS_EXCHANGE, routing_key_of(bench.operator), b"{}", fields)
    ids = await bench.publish(range(50))
    store = Store()
    async with bench.consuming(store) as consumer:
        await until(lambda: len(store.applied) == 50)
        (letter,) = await bench.dead_letters(1)
        assert consumer.connected
    assert sorted(store.applied) == sorted(ids)
    assert (letter.body, letter.message_id) == (b"{}", "bad")
    assert letter.headers[REASON_HEADER] == "the event is not signed"
    assert "CC" not in letter.headers
    assert await bench.waiting() == 0


async def test_bytes_in_a_header_are_kept_in_the_dead_letter(bench: Bench) -> None:
    headers = BAD_HEADERS["bytes that are no UTF-8"]
    await publish_raw(
        bench.channel, EVENTS_EXCHANGE, routing_key_of(bench.operator), b"{}", {HEADERS: headers}
    )
    async with bench.consuming(Store()):
        (letter,) = await bench.dead_letters(1)
    assert letter.headers["trace"] == bytearray(b"\xff\xfe\x00\x01")


async def test_a_forged_event_is_buried(bench: Bench) -> None:
    body = b'{"specversion": "1.0"}'
    signature = SIGNER.sign(body + b" ")
    exchange = await bench.channel.get_exchange(EVENTS_EXCHANGE, ensure=False)
    headers = {SIGNATURE_HEADER: signature.value, KEY_ID_HEADER: signature.key_id}
    message = Message(body, headers=dict(headers), message_id="forged")
    await exchange.publish(message, routing_key_of(bench.operator))
    store = Store()
    async with bench.consuming(store):
        (letter,) = await bench.dead_letters(1)
    assert "SignatureInvalid" in str(letter.headers[REASON_HEADER])
    assert store.applied == []


@pytest.mark.parametrize("error", [Unprocessable("no such player"), ZeroDivisionError("a bug")])
async def test_one_event_that_always_fails_does_not_block_the_rest(bench: Bench, error: Exception) -> None:
    ids = await bench.publish(range(10))
    store = Store()
    store.poison[ids[4]] = error
    async with bench.consuming(store):
        await until(lambda: len(store.applied) == 9)
        (letter,) = await bench.dead_letters(1)
    assert letter.message_id == ids[4]
    assert str(error) in str(letter.headers[REASON_HEADER])
    assert sorted(store.applied) == sorted(set(ids) - {ids[4]})
    assert await bench.waiting() == 0


async def test_the_queue_itself_buries_what_kills_its_consumers(bench: Bench) -> None:
    """A message that is handed out and given back again and again, as when each consumer dies of it."""
    (event_id,) = await bench.publish([1])
    queue = await bench.channel.get_queue(bench.queue.name, ensure=False)
    returns = 0

    async def is_dead_lettered() -> bool:
        """The queue has a message back only a moment after it was returned."""
        nonlocal returns
        if (message := await queue.get(fail=False)) is None:
            return await bench.waiting(bench.queue.dead_name) == 1
        await message.nack(requeue=True)
        returns += 1
        assert returns <= topology.DELIVERY_LIMIT + 1
        return False

    await conditions.until(is_dead_lettered)
    assert returns >= topology.DELIVERY_LIMIT
    (letter,) = await bench.dead_letters(1)
    assert letter.message_id == event_id


async def test_a_store_that_is_away_is_waited_for_with_the_messages_in_hand(bench: Bench) -> None:
    ids = await bench.publish(range(5))
    store = Store()
    store.away = True
    async with bench.consuming(store):
        await until(lambda: store.calls >= 4)
        await bench.until_waiting(0)
        calls = store.calls
        await until(lambda: store.calls > calls)
        assert await bench.waiting() == 0  # held, not given back: no delivery was counted
        store.away = False
        await until(lambda: len(store.applied) == 5)
    assert sorted(store.applied) == sorted(ids)
    assert await bench.dead_letters(0) == []


async def test_stopping_while_the_store_is_away_gives_the_messages_back(bench: Bench) -> None:
    await bench.publish(range(5))
    store = Store()
    store.away = True
    consumer = bench.consumer(store)
    consumer.start()
    await until(lambda: store.calls >= 2)
    async with asyncio.timeout(HANG_S):
        await consumer.stop(grace_seconds=600)
    store.away = False
    async with bench.consuming(store):
        await until(lambda: len(store.applied) == 5)


async def test_stopping_finishes_what_is_in_hand(bench: Bench) -> None:
    await bench.publish(range(60))
    store = Store()
    consumer = bench.consumer(store, batch_limit=5, prefetch=20)
    consumer.start()
    await until(lambda: len(store.applied) >= 5)
    await consumer.stop(grace_seconds=HANG_S)
    await consumer.wait()
    await bench.until_waiting(60 - len(store.applied))
    async with bench.consuming(store):
        await until(lambda: len(store.applied) == 60)
    assert sum(store.batches) == 60  # nothing was applied twice: every batch had been acknowledged


async def test_a_cut_to_the_broker_loses_nothing(bench: Bench) -> None:
    store = Store()
    async with (
        cable_to(bench.amqp_url) as (cable, url),
        bench.consuming(store, amqp_url=url, batch_limit=3) as consumer,
    ):
        await until(lambda: consumer.connected)
        for start in range(0, 60, 20):
            await bench.publish(range(start, start + 20))
            await until(lambda start=start: len(store.applied) > start)  # type: ignore[misc]
            await cable.cut()
            await until(lambda: not consumer.connected)
            await cable.repair()
        await until(lambda: len(store.applied) == 60)
        await until(lambda: consumer.connected)
    assert await bench.waiting() == 0


async def test_it_starts_before_the_broker_can_be_reached(bench: Bench) -> None:
    store = Store()
    async with cable_to(bench.amqp_url) as (cable, url):
        await cable.cut()
        async with bench.consuming(store, amqp_url=url) as consumer:
            await until(lambda: consumer._connection.down)  # it has tried in vain
            assert not consumer.connected
            await cable.repair()
            await bench.publish([1])
            await until(lambda: len(store.applied) == 1)


async def test_a_queue_deleted_under_it_is_noticed_and_made_again(bench: Bench) -> None:
    """The broker then cancels the consumer and leaves its channel open: silence without any error."""
    store = Store()
    async with bench.consuming(store) as consumer:
        await until(lambda: consumer.connected)
        await bench.channel.queue_delete(bench.queue.name)
        await until(lambda: not consumer.connected)
        await until(lambda: consumer.connected)
        await bench.publish([1])
        await until(lambda: len(store.applied) == 1)


async def test_a_queue_deleted_and_made_again_time_after_time_is_consumed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ may then hand a new queue's messages to a channel that knew the old one, and lose them there
    without a word: whatever the subscription is worth, it is renewed while nothing comes."""
    monkeypatch.setattr(connection, "RENEW_SECONDS", 0.5)
    store = Store()
    async with bench.consuming(store):
        for number in range(4):
            await bench.channel.queue_delete(bench.queue.name)
            await topology.declare(bench.channel, bench.queue, timeout_seconds=HANG_S)
            await bench.publish([number])
            await until(lambda: len(store.applied) == number + 1)  # noqa: B023 - awaited at once
