"""Reconciliation of events: what the broker lost is emitted again, and applied once."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import pytest

from contracts.reconciliation import IncidentKind, Page
from events import topology
from events.broker import LinkLost
from events.catalogue import RoundEvent
from events.consumer import Consumer
from events.topology import ConsumerQueue
from security.signatures import SignatureVerifier
from storage import outbox
from storage import reconciliation as stored
from tests.integration.events_on_broker import channel_to
from tests.integration.reconciliation.floor import Floor, wager
from tests.support.conditions import HANG_S, until
from workers import statistics


@dataclass(frozen=True, slots=True)
class Listener:
    """A statistics of the test's own: its queue, and a consumer when it is asked for."""

    floor: Floor
    queue: ConsumerQueue
    amqp_url: str

    async def waiting(self) -> int:
        async with channel_to(self.amqp_url) as channel:
            return await topology.waiting(channel, self.queue, timeout_seconds=HANG_S)

    async def until_waiting(self, count: int) -> None:
        async def there() -> bool:
            return await self.waiting() == count

        await until(there)

    async def lose_everything(self) -> None:
        async with channel_to(self.amqp_url) as channel:
            await (await channel.get_queue(self.queue.name)).purge()
        await self.until_waiting(0)

    async def applies_all(self) -> None:
        keys = self.floor.resources.keyring.events.public_keys()
        consumer = Consumer(
            self.amqp_url,
            queue=self.queue,
            parse=RoundEvent.parse,
            handler=lambda events: statistics._apply(self.floor.pool, events, statistics.Lag(time.time)),
            transient=(OSError,),
            verifier=SignatureVerifier(keys),
        )
        consumer.start()
        await self.until_waiting(0)
        await consumer.stop()


@pytest.fixture
async def listener(floor: Floor, amqp_url: str) -> AsyncIterator[Listener]:
    """Hears of the operator's closed rounds. The look begins with the events of this test."""
    name = f"test-{uuid4().hex[:8]}"
    operator_id = floor.own_operator
    queue = ConsumerQueue(
        name=name, bindings=(f"{operator_id}.*.round.settled", f"{operator_id}.*.round.void")
    )
    found = await stored.mark(floor.pool, "events")
    newest = await floor.pool.fetchval("SELECT coalesce(max(id), 0) FROM outbox")
    await stored.move_mark(floor.pool, "events", found, str(newest))
    async with channel_to(amqp_url) as channel:
        await topology.declare(channel, queue, timeout_seconds=HANG_S)
        yield Listener(floor, queue, amqp_url)
        await channel.queue_delete(queue.name)
        await channel.queue_delete(queue.dead_name)


# The events of a new player's session and deposit, which are nothing to look for at the statistics.
OF_A_SEAT: Final = 2


async def _published_round(floor: Floor) -> str:
    """A settled round whose event the broker has confirmed; its id."""
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    view = await seat.settle(bet, 0)
    assert view.event_id is not None
    found = await outbox.find(floor.pool, view.event_id)
    assert found is not None
    await until(lambda: _connected(floor))
    await floor.resources.publisher.publish(found[0], timeout_seconds=HANG_S)
    await outbox.mark_published(floor.pool, [view.event_id])
    return view.event_id


async def _connected(floor: Floor) -> bool:
    return floor.resources.publisher.connected


async def _rounds_counted(floor: Floor) -> int:
    counted: int = await floor.pool.fetchval(
        "SELECT coalesce(sum(rounds), 0) FROM game_statistics WHERE operator_id = $1", floor.own_operator
    )
    return counted


async def test_an_event_that_the_broker_lost_is_emitted_and_applied_once(
    floor: Floor, listener: Listener
) -> None:
    before = await _rounds_counted(floor)
    event_id = await _published_round(floor)
    await listener.until_waiting(1)
    await listener.lose_everything()

    looks = floor.events(listener.waiting)
    looked = [await looks.events(Page()) for _ in range(3)]
    assert [(one.opened, one.emitted) for one in looked] == [(1, 1), (0, 0), (0, 0)]
    await listener.until_waiting(1)
    (incident,) = await floor.incidents_of(event_id)
    assert (incident.finding.kind, incident.resolved_at) == (IncidentKind.EVENT_MISSING, None)

    await listener.applies_all()
    assert await _rounds_counted(floor) == before + 1
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(event_id)
    assert incident.resolved_at is not None


async def test_events_that_wait_for_their_consumer_are_not_missing(floor: Floor, listener: Listener) -> None:
    event_id = await _published_round(floor)
    await listener.until_waiting(1)
    looked = await floor.events(listener.waiting).events(Page())
    assert (looked.looked_at, looked.opened) == (OF_A_SEAT, 0), "the mark stays before it"
    await listener.applies_all()
    looked = await floor.events(listener.waiting).events(Page())
    assert (looked.looked_at, looked.opened) == (1, 0)
    assert await floor.incidents_of(event_id) == []


async def test_an_event_is_missing_when_a_much_later_one_was_applied(
    floor: Floor, listener: Listener
) -> None:
    """A busy queue is never empty, and keeps its order."""
    lost = await _published_round(floor)
    await listener.until_waiting(1)
    await listener.lose_everything()
    await _published_round(floor)
    await listener.applies_all()

    async def one_waits() -> int:
        return 1

    looked = await floor.events(one_waits).events(Page())
    assert (looked.looked_at, looked.emitted) == (2 * OF_A_SEAT + 2, 1)
    await listener.applies_all()
    await floor.resolve_all()
    assert len(await floor.incidents_of(lost)) == 1


async def test_an_event_that_is_not_confirmed_is_the_relays(floor: Floor, listener: Listener) -> None:
    seat = await floor.seat()
    bet = wager(seat)
    await seat.reserve(bet)
    view = await seat.settle(bet, 0)
    assert view.event_id is not None
    looked = await floor.events(listener.waiting).events(Page())
    assert (looked.looked_at, looked.opened) == (OF_A_SEAT, 0)


async def test_a_broker_that_is_away_fails_softly_and_the_next_run_succeeds(
    floor: Floor, listener: Listener
) -> None:
    event_id = await _published_round(floor)
    await listener.until_waiting(1)
    await listener.lose_everything()

    async def away() -> int:
        raise LinkLost("no broker")

    looked = await floor.events(away).events(Page())
    assert looked.problems == ("events: LinkLost: no broker",)
    looked = await floor.events(listener.waiting).events(Page())
    assert looked.emitted == 1
    assert len(await floor.incidents_of(event_id)) == 1
    await listener.applies_all()
    await floor.resolve_all()
