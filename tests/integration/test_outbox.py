"""Events that no workflow emits any more: the sweeper publishes them, and they take effect once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from activities.events import EventActivities
from contracts.events import RecordedEvent
from events.publisher import Publisher
from security.keyring import Keyring
from security.signatures import Signer
from storage import outbox, statistics
from storage.database import Database
from storage.statistics import RoundFact
from tests.conftest import Services
from tests.support.conditions import HANG_S, until
from tests.support.databases import own_database
from tests.support.ledger import Seat, take_seat, waiting_for_a_lock
from workers.relay import BATCH, sweep


@pytest.fixture(scope="module")
async def database(services: Services) -> AsyncIterator[Database]:
    """One of its own: a sweep is of every event, and the gauges are of every round."""
    async with own_database(services, connections=20) as opened:
        yield opened


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is about how long a confirm may take."""
    monkeypatch.setattr("activities.events.FAST_PUBLISH_LIMIT_S", HANG_S)
    monkeypatch.setattr("workers.relay.PUBLISH_LIMIT_S", HANG_S)


@pytest.fixture
async def publisher(amqp_url: str) -> AsyncIterator[Publisher]:
    opened = Publisher(amqp_url, Signer(Keyring.generate().events))
    opened.start()
    yield opened
    await opened.close()


async def _settled(seat: Seat) -> str:
    bet = seat.bet()
    await seat.reserve(bet)
    view = await seat.settle(bet, win=10)
    assert view.event_id is not None
    return view.event_id


async def _published(database: Database, event_id: str) -> bool:
    found = await outbox.find(database.pool, event_id)
    assert found is not None
    return found[1]


async def test_the_sweeper_publishes_what_no_workflow_did(database: Database, publisher: Publisher) -> None:
    seat = await take_seat(database, balance=1_000)
    event_ids = [await _settled(seat) for _ in range(3)]
    assert not any([await _published(database, event_id) for event_id in event_ids])

    async def swept() -> bool:
        return (await sweep(database.pool, publisher, older_than_s=0)).all_confirmed

    await until(swept)
    assert all([await _published(database, event_id) for event_id in event_ids])
    assert (await sweep(database.pool, publisher, older_than_s=0)).confirmed == 0


@asynccontextmanager
async def unusable_events(database: Database, seat: Seat, count: int) -> AsyncIterator[None]:
    """Events that no catalogue knows wait in the outbox while the block runs."""
    await database.pool.execute(
        """
        INSERT INTO outbox
            (event_id, type, operator_id, player_key, game_id, subject, sequence, data, occurred_at)
        SELECT gen_random_uuid(), 'of.another-release', $1, $2, '', 's', -n, '{}', clock_timestamp()
        FROM generate_series(1, $3::int) n
        """,
        seat.session.operator_id,
        seat.session.player_key,
        count,
    )
    try:
        yield
    finally:
        await database.pool.execute(
            "UPDATE outbox SET published_at = clock_timestamp() WHERE type = 'of.another-release'"
        )


async def test_events_that_cannot_be_published_keep_none_behind_them(
    database: Database, publisher: Publisher
) -> None:
    seat = await take_seat(database, balance=1_000)
    await until(lambda: _connected(publisher))
    async with unusable_events(database, seat, count=BATCH + 50):
        event_id = await _settled(seat)
        result = await sweep(database.pool, publisher, older_than_s=0)
        assert await _published(database, event_id)
        assert not result.all_confirmed


class Choosy(Publisher):
    """Fails on one event as nobody foresaw."""

    refused = ""

    async def publish(self, event: RecordedEvent, *, timeout_seconds: float) -> None:
        if event.event_id == self.refused:
            raise ZeroDivisionError
        await super().publish(event, timeout_seconds=timeout_seconds)


async def test_an_event_that_fails_as_nobody_foresaw_fails_alone(database: Database, amqp_url: str) -> None:
    publisher = Choosy(amqp_url, Signer(Keyring.generate().events))
    publisher.start()
    try:
        await until(lambda: _connected(publisher))
        seat = await take_seat(database, balance=1_000)
        publisher.refused, other = await _settled(seat), await _settled(seat)
        await sweep(database.pool, publisher, older_than_s=0)
        assert await _published(database, other)
        assert not await _published(database, publisher.refused)
        publisher.refused = ""
        await sweep(database.pool, publisher, older_than_s=0)
    finally:
        await publisher.close()


async def _emitted(steps: EventActivities, database: Database, event_id: str) -> None:
    found = await outbox.find(database.pool, event_id)
    assert found is not None
    await steps.emit_now(found[0])


async def test_confirmed_events_are_marked_together_and_none_is_left_when_the_steps_close(
    database: Database, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[list[str]] = []
    mark = outbox.mark_published

    async def counted(pool: asyncpg.Pool, event_ids: list[str]) -> None:
        statements.append(event_ids)
        await mark(pool, event_ids)

    monkeypatch.setattr(outbox, "mark_published", counted)
    steps = EventActivities(database.pool, publisher)
    seat = await take_seat(database, balance=1_000)
    event_ids = [await _settled(seat) for _ in range(5)]
    await until(lambda: _connected(publisher))
    async with locked_rows(database, event_ids):
        await asyncio.gather(*(_emitted(steps, database, event_id) for event_id in event_ids))
        await until(lambda: waiting_for_a_lock(database))
        assert not any([await _published(database, event_id) for event_id in event_ids])
    await steps.close()
    assert all([await _published(database, event_id) for event_id in event_ids])
    assert len(statements) <= 2, "the first ones, and those that came while they waited"


async def test_events_confirmed_while_others_are_being_marked_are_marked_too(
    database: Database, publisher: Publisher
) -> None:
    steps = EventActivities(database.pool, publisher)
    seat = await take_seat(database, balance=1_000)
    first, second = await _settled(seat), await _settled(seat)
    await until(lambda: _connected(publisher))
    async with locked_rows(database, [first]):
        await _emitted(steps, database, first)
        await until(lambda: waiting_for_a_lock(database))
        await _emitted(steps, database, second)
    await steps.close()
    assert await _published(database, first)
    assert await _published(database, second)


async def _connected(publisher: Publisher) -> bool:
    return publisher.connected


@asynccontextmanager
async def locked_rows(database: Database, event_ids: list[str]) -> AsyncIterator[None]:
    """Nobody else can mark the events while the block runs."""
    ids = [UUID(event_id) for event_id in event_ids]
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM outbox WHERE event_id = ANY($1) FOR UPDATE", ids)
        yield


async def test_the_sweeper_leaves_rounds_that_are_still_emitting_alone(
    database: Database, publisher: Publisher
) -> None:
    seat = await take_seat(database, balance=1_000)
    event_id = await _settled(seat)
    await sweep(database.pool, publisher, older_than_s=3_600)
    assert not await _published(database, event_id)


async def test_the_sweeper_marks_nothing_that_the_broker_did_not_confirm(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    event_id = await _settled(seat)
    nowhere = Publisher("amqp://guest:guest@127.0.0.1:9/", Signer(Keyring.generate().events))
    nowhere.start()
    assert (await sweep(database.pool, nowhere, older_than_s=0)).confirmed == 0
    await nowhere.close()
    assert not await _published(database, event_id)


def _fact(operator_id: str, event_id: str, *, settled: bool = True) -> RoundFact:
    return RoundFact(
        event_id=event_id,
        operator_id=operator_id,
        game_id="dice",
        currency="EUR",
        settled=settled,
        stake=100,
        win=40,
    )


async def _statistics(database: Database, operator_id: str) -> dict[str, int]:
    row = await database.pool.fetchrow(
        "SELECT rounds, voids, stake, win FROM game_statistics WHERE operator_id = $1", operator_id
    )
    return dict(row)


async def test_a_repeated_event_adds_nothing_to_the_statistics(database: Database) -> None:
    operator_id = f"op-{uuid4().hex[:12]}"
    one, other = uuid4().hex, uuid4().hex
    facts = [_fact(operator_id, one), _fact(operator_id, one), _fact(operator_id, other, settled=False)]
    assert await statistics.apply(database.pool, facts) == 2
    assert await statistics.apply(database.pool, facts) == 0
    assert await _statistics(database, operator_id) == {"rounds": 1, "voids": 1, "stake": 100, "win": 40}


async def test_consumers_that_apply_the_same_events_at_once_count_them_once(database: Database) -> None:
    operator_id = f"op-{uuid4().hex[:12]}"
    facts = [_fact(operator_id, uuid4().hex) for _ in range(50)]
    fresh = await asyncio.gather(*(statistics.apply(database.pool, facts[::order]) for order in (1, -1) * 5))
    assert sum(fresh) == 50
    assert (await _statistics(database, operator_id))["rounds"] == 50


async def test_an_event_reads_the_same_however_often_it_is_loaded(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    event_id = await _settled(seat)
    first, second = [await outbox.find(database.pool, event_id) for _ in range(2)]
    assert first == second
    assert first is not None
    assert datetime.fromisoformat(first[0].occurred_at).tzinfo is UTC
