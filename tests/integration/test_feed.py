"""The feed skips nothing, whatever the order in which transactions end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import asyncpg
import pytest

from contracts.events import RecordedEvent
from storage import feed as feed_module
from storage import rounds
from storage.database import Database
from storage.feed import Feed
from tests.conftest import Services
from tests.support.conditions import HANG_S
from tests.support.databases import empty_database, own_database, owner_url
from tests.support.ledger import OUTCOME, Seat, take_seat
from workers.long_transactions import FEED_LAG, TRANSACTION_AGE, LongTransactions

# Longer than any transaction of another program takes, so that a reader has all that is recorded.
PATIENCE_S: Final = HANG_S


async def _two_seats(database: Database) -> tuple[Seat, Seat]:
    """Two players of one operator: players do not wait for each other."""
    first = await take_seat(database, balance=1_000)
    return first, await take_seat(database, balance=1_000, operator_id=first.session.operator_id)


@asynccontextmanager
async def _settling(seat: Seat) -> AsyncIterator[asyncpg.Connection]:
    """A round is settled, its event has its place, and nothing is committed before the block ends."""
    bet = seat.bet()
    await seat.reserve(bet)
    async with seat.database.pool.acquire() as connection, connection.transaction():
        await connection.fetchrow(rounds.SETTLE, bet.key.player_key, bet.key.round_id, OUTCOME, 10, 0)
        yield connection


async def _settle(seat: Seat) -> None:
    bet = seat.bet()
    await seat.reserve(bet)
    await seat.settle(bet, 10)


async def _all(feed: Feed, seat: Seat, *, after: int | None = None, limit: int = 100) -> list[str]:
    """Every event from there on, page after page."""
    found: list[str] = []
    operator_id = seat.session.operator_id
    while True:
        events, after = await feed.page(operator_id=operator_id, after=after, limit=limit)
        if not events:
            return found
        found += [event.event_id for event in events]


async def _page_at_once(feed: Feed, seat: Seat, *, after: int) -> tuple[list[RecordedEvent], int]:
    """What a reader is given whose patience with transactions under way has ended."""
    feed._patience_s, patience_s = 0, feed._patience_s
    try:
        return await feed.page(operator_id=seat.session.operator_id, after=after, limit=100)
    finally:
        feed._patience_s = patience_s


async def _recorded(seat: Seat) -> list[str]:
    rows = await seat.database.pool.fetch(
        "SELECT event_id::text FROM outbox WHERE operator_id = $1 ORDER BY id", seat.session.operator_id
    )
    return [row["event_id"] for row in rows]


async def test_an_event_that_commits_late_is_not_skipped(database: Database) -> None:
    """The earlier place commits after the later one was there to be read."""
    slow, quick = await _two_seats(database)
    feed = Feed(database.pool, patience_s=PATIENCE_S)
    operator_id = slow.session.operator_id
    before, place = await feed.page(operator_id=operator_id, after=None, limit=100)
    async with _settling(slow):
        await _settle(quick)
        assert len(await _recorded(slow)) == len(before) + 1, "the later one is committed"
        meanwhile, place = await _page_at_once(feed, slow, after=place)
        assert meanwhile == [], "and is not served while an earlier one may come"
    assert await _all(feed, slow, after=place) == (await _recorded(slow))[len(before) :]
    assert len(await _recorded(slow)) == len(before) + 2


async def test_nor_is_one_whose_transaction_began_last(database: Database) -> None:
    """The transaction of the earlier place is younger than the one of the later place, and than every
    transaction that has ended: a snapshot's own bounds would not know of it."""
    slow, quick = await _two_seats(database)
    feed = Feed(database.pool, patience_s=PATIENCE_S)
    operator_id = slow.session.operator_id
    before, place = await feed.page(operator_id=operator_id, after=None, limit=100)
    quick_bet, slow_bet = quick.bet(), slow.bet()
    await quick.reserve(quick_bet)
    await slow.reserve(slow_bet)
    async with database.pool.acquire() as one, database.pool.acquire() as other:
        older, younger = one.transaction(), other.transaction()
        await older.start()
        older_id = await one.fetchval("SELECT pg_current_xact_id()::text::bigint")
        await younger.start()
        younger_id = await other.fetchval("SELECT pg_current_xact_id()::text::bigint")
        assert older_id < younger_id
        await other.fetchrow(rounds.SETTLE, slow_bet.key.player_key, slow_bet.key.round_id, OUTCOME, 10, 0)
        await one.fetchrow(rounds.SETTLE, quick_bet.key.player_key, quick_bet.key.round_id, OUTCOME, 10, 0)
        await older.commit()
        meanwhile, place = await _page_at_once(feed, slow, after=place)
        assert meanwhile == []
        await younger.commit()
    assert await _all(feed, slow, after=place) == (await _recorded(slow))[len(before) :]
    assert len(await _recorded(slow)) == len(before) + 2


async def test_earlier_events_are_served_while_a_transaction_runs(database: Database) -> None:
    seat, other = await _two_seats(database)
    for _ in range(3):
        await _settle(seat)
    feed = Feed(database.pool, patience_s=PATIENCE_S)
    earlier = await _all(feed, seat)
    assert earlier == await _recorded(seat)
    feed._patience_s = 0
    async with _settling(other):
        assert await _all(feed, seat, limit=2) == earlier


async def test_a_transaction_that_is_rolled_back_holds_nothing_up(database: Database) -> None:
    slow, quick = await _two_seats(database)
    feed = Feed(database.pool, patience_s=PATIENCE_S)
    bet = slow.bet()
    await slow.reserve(bet)
    async with database.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetchrow(rounds.SETTLE, bet.key.player_key, bet.key.round_id, OUTCOME, 10, 0)
        await _settle(quick)
        asking = asyncio.create_task(_all(feed, quick))
        await asyncio.sleep(0.05)  # on a slow machine it may have asked nothing yet, and pass all the same
        assert not asking.done()
        await transaction.rollback()
    assert await asking == await _recorded(quick)


async def test_a_reader_of_a_busy_feed_misses_nothing(database: Database) -> None:
    """Twelve players of one operator settle at once while two readers with small pages go along."""
    first = await take_seat(database, balance=10_000)
    operator_id = first.session.operator_id
    seats = [first] + [await take_seat(database, balance=10_000, operator_id=operator_id) for _ in range(11)]
    playing = asyncio.Event()

    async def play(seat: Seat) -> None:
        for _ in range(8):
            await _settle(seat)

    async def read(feed: Feed, limit: int) -> list[str]:
        found: list[str] = []
        place: int | None = None
        while True:
            over = playing.is_set()
            events, place = await feed.page(operator_id=operator_id, after=place, limit=limit)
            found += [event.event_id for event in events]
            if over and not events:
                return found

    readers = [
        asyncio.create_task(read(Feed(database.pool, patience_s=PATIENCE_S), limit)) for limit in (3, 7)
    ]
    await asyncio.gather(*(play(seat) for seat in seats))
    playing.set()
    recorded = await _recorded(first)
    assert len(recorded) >= 96
    assert await asyncio.gather(*readers) == [recorded, recorded]


async def test_the_end_of_the_feed_is_where_the_next_event_follows(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    await _settle(seat)
    feed = Feed(database.pool, patience_s=PATIENCE_S)
    end = await feed.end()
    assert await _all(feed, seat, after=end) == []
    await _settle(seat)
    assert await _all(feed, seat, after=end) == (await _recorded(seat))[-1:]


async def test_an_operator_sees_its_own_events_alone(database: Database) -> None:
    mine, theirs = await take_seat(database, balance=1_000), await take_seat(database, balance=1_000)
    await _settle(mine)
    await _settle(theirs)
    feed = Feed(database.pool, patience_s=PATIENCE_S)
    assert await _all(feed, mine) == await _recorded(mine)
    assert await _all(feed, theirs) == await _recorded(theirs)
    assert not set(await _recorded(mine)) & set(await _recorded(theirs))


@asynccontextmanager
async def _written_elsewhere(services: Services) -> AsyncIterator[None]:
    """A transaction that has written in another database of the server is open inside the block."""
    async with empty_database(services) as url:
        connection = await asyncpg.connect(url, server_settings={"application_name": "forgotten"})
        async with connection.transaction():
            await connection.execute("CREATE TABLE forgotten (n int)")
            yield
        await connection.close()


@asynccontextmanager
async def _reading_elsewhere(services: Services) -> AsyncIterator[None]:
    """A transaction that reads one snapshot of another database of the server is open inside the block."""
    async with empty_database(services) as url:
        connection = await asyncpg.connect(url, server_settings={"application_name": "forgotten"})
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("SELECT 1")
            yield
        await connection.close()


def _ages(application: str) -> dict[tuple[str, str], float]:
    """What the metrics say of an application's transactions, by what each holds and its pid."""
    (metric,) = TRANSACTION_AGE.collect()
    return {
        (sample.labels["holds"], sample.labels["pid"]): sample.value
        for sample in metric.samples
        if sample.labels["application"] == application
    }


@asynccontextmanager
async def _writing_by_hand(services: Services, database: Database) -> AsyncIterator[int]:
    """A person's transaction on the outbox is open inside the block, which is given its pid."""
    connection = await asyncpg.connect(
        await owner_url(services, database), server_settings={"application_name": "by hand"}
    )
    async with connection.transaction():
        await connection.execute("UPDATE outbox SET subject = subject WHERE false")
        yield connection.get_server_pid()
    await connection.close()


async def test_a_transaction_of_another_database_holds_nothing_up(
    services: Services, database: Database
) -> None:
    seat = await take_seat(database, balance=1_000)
    async with _written_elsewhere(services):
        await _settle(seat)
        feed = Feed(database.pool, patience_s=PATIENCE_S)
        assert await _all(feed, seat) == await _recorded(seat)
        newest = await database.pool.fetchval("SELECT max(id) FROM outbox")
        assert await feed.end() >= newest


@pytest.fixture
async def quiet(services: Services) -> AsyncIterator[Database]:
    """One of its own: programs write in the other, and a clock that is moved makes them slow."""
    async with own_database(services, connections=3) as opened:
        yield opened


@pytest.mark.parametrize("forgotten", [_written_elsewhere, _reading_elsewhere])
async def test_a_transaction_of_another_database_is_named_for_what_it_holds_up(
    services: Services,
    quiet: Database,
    forgotten: Callable[[Services], AbstractAsyncContextManager[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By our role, which may not see when it began."""
    now = 1_000.0
    transactions = LongTransactions(lambda: now)
    async with forgotten(services):
        await transactions.check(quiet.pool)
        now = 1_060.0
        await transactions.check(quiet.pool)
        ((holds, pid),) = _ages("forgotten")
        assert (holds, _ages("forgotten")[holds, pid]) == ("vacuum", 60.0)
        assert FEED_LAG._value.get() == 0
    await transactions.check(quiet.pool)
    assert _ages("forgotten") == {}
    (named,) = [text for text in caplog.messages if "'forgotten'" in text]
    assert f"pid {pid}" in named


async def test_nor_does_one_that_writes_elsewhere_in_ours_or_only_reads(database: Database) -> None:
    seat, other = await _two_seats(database)
    async with (
        database.pool.acquire() as one,
        database.pool.acquire() as two,
        one.transaction(),
        two.transaction(isolation="repeatable_read"),
    ):
        await one.execute("UPDATE players SET sequence = sequence WHERE id = $1", other.session.player_key)
        await two.fetch("SELECT count(*) FROM outbox")
        await _settle(seat)
        feed = Feed(database.pool, patience_s=PATIENCE_S)
        assert await _all(feed, seat) == await _recorded(seat)


async def test_what_holds_the_feed_up_is_named(
    services: Services, quiet: Database, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1_000.0
    transactions = LongTransactions(lambda: now)
    async with _writing_by_hand(services, quiet) as pid:
        await transactions.check(quiet.pool)
        assert _ages("by hand") == {}, "a moment is no hold"
        for now in (1_020.0, 1_060.0):
            await transactions.check(quiet.pool)
            assert _ages("by hand") == {("feed", str(pid)): now - 1_000.0}
            assert FEED_LAG._value.get() == now - 1_000.0
    await transactions.check(quiet.pool)
    assert _ages("by hand") == {}
    assert FEED_LAG._value.get() == 0
    named = [record for record in caplog.records if "by hand" in record.getMessage()]
    assert len(named) == 1
    assert str(pid) in named[0].getMessage()


async def test_the_end_of_the_feed_is_known_while_it_is_held_up(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a webhook can be set up meanwhile."""
    monkeypatch.setattr(feed_module, "END_PATIENCE_S", 0.0)
    seat = await take_seat(database, balance=1_000)
    async with _writing_by_hand(services, database):
        await _settle(seat)
        end = await Feed(database.pool).end()
    await _settle(seat)
    feed = Feed(database.pool, patience_s=PATIENCE_S)
    assert await _all(feed, seat, after=end) == (await _recorded(seat))[-1:]
