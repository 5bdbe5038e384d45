"""What programs and people ask of the ledger, each as an operation on a database with earlier rounds."""

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

import pytest

from contracts.interventions import Action, InterveneRequest, Intervention, InterventionVerdict
from contracts.movements import StatementFilter
from contracts.rounds import Bet, RoundState
from contracts.views import EVERY_OPERATOR, RoundFilter
from storage import (
    feed,
    game_figures,
    history,
    interventions,
    now,
    outbox,
    pending,
    reconciliation,
    rounds,
    sessions,
    settling,
    statement,
    statistics,
    stuck,
    timeline,
)
from storage.database import Database
from storage.statistics import RoundFact
from tests.support.ledger import Seat, take_seat

OPERATOR: Final = "measured"
PAGE: Final = 20
WINDOW: Final = 100  # fewer than the operator has where there are few
LATER: Final = timedelta(minutes=1)

FLUSH: Final = "SELECT pg_stat_force_next_flush()"
ROWS_READ: Final = """
    SELECT relname AS relation, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_user_tables
    UNION ALL SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes
"""
SCANS: Final = "SELECT relname AS relation, seq_scan AS scans FROM pg_stat_user_tables"


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """Rows that were read by table and by index, and the tables that were read from end to end."""

    rows: Counter[str]
    scanned: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Books:
    """A database with earlier rounds, and a player in it who has many of them."""

    seat: Seat
    earlier: Bet  # one of the player's first rounds, and won
    middle: int  # where a page in the middle of the player's rounds begins
    position: int  # the same of the player's transfers
    moment: datetime  # and when that transfer was made
    event_id: str  # of that round
    place: int  # of an event in the middle of the operator's

    @property
    def database(self) -> Database:
        return self.seat.database

    async def work_of(self, operation: "Operation") -> Work:
        """What the second run reads: the first one fills the caches of the server and of the driver."""
        await operation(self)
        rows, scans = await self._counters()
        await operation(self)
        rows_after, scans_after = await self._counters()
        return Work(rows_after - rows, frozenset(scans_after - scans))

    async def _counters(self) -> tuple[Counter[str], Counter[str]]:
        """The connection that the operations use reports first what it has counted."""
        pool = self.database.pool
        await pool.execute(FLUSH)
        rows, scans = await pool.fetch(ROWS_READ), await pool.fetch(SCANS)
        return (
            Counter({row["relation"]: row["rows"] for row in rows}),
            Counter({row["relation"]: row["scans"] for row in scans}),
        )


MIDDLE_EVENT: Final = """
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM outbox WHERE operator_id = $1
"""

Operation = Callable[[Books], Awaitable[object]]


async def settled_round(books: Books) -> None:
    bet = books.seat.bet()
    await books.seat.reserve(bet)
    await books.seat.settle(bet, 198)


async def void_round(books: Books) -> None:
    bet = books.seat.bet()
    await books.seat.reserve(bet)
    await books.seat.release(bet)


async def declined_round(books: Books) -> None:
    declined = await books.seat.reserve(books.seat.bet(stake=1_000_000_000))
    assert declined.state is RoundState.DECLINED


async def repeated_reserve(books: Books) -> None:
    assert (await books.seat.reserve(books.earlier)).state is RoundState.SETTLED


async def repeated_settle(books: Books) -> None:
    await books.seat.settle(books.earlier, 0)


async def a_round(books: Books) -> None:
    assert await rounds.find(books.database.pool, books.earlier.key) is not None


async def rounds_since_a_lost_connection(books: Books) -> None:
    await settled_round(books)  # or the newest five are of something else, in the wrong order of tests
    pool, player_key = books.database.pool, books.seat.session.player_key
    newest = await rounds.sequence(pool, player_key)
    assert newest is not None
    # Rounds share the sequence with deposits and sessions.
    assert (
        0 < len(await rounds.closed_after(pool, player_key=player_key, sequence=newest - 5, limit=100)) <= 5
    )
    middle = await rounds.closed_after(pool, player_key=player_key, sequence=newest // 2, limit=PAGE)
    assert len(middle) == PAGE


async def first_page(books: Books) -> None:
    await _page(books, books.seat.session.player_key, before=None)


async def page_in_the_middle(books: Books) -> None:
    await _page(books, books.seat.session.player_key, before=books.middle)


async def operators_first_page(books: Books) -> None:
    await _page(books, None, before=None)


async def operators_page_in_the_middle(books: Books) -> None:
    await _page(books, None, before=books.middle)


async def _page(books: Books, player_key: int | None, *, before: int | None) -> None:
    wanted = RoundFilter(operator_id=OPERATOR, player_key=player_key)
    found, following = await history.page(books.database.pool, wanted, before=before, limit=PAGE)
    assert (len(found), following is None) == (PAGE, False)


async def operators_search_by_round(books: Books) -> None:
    wanted = RoundFilter(operator_id=OPERATOR, round_id=books.earlier.key.round_id)
    found, _ = await history.page(books.database.pool, wanted, before=None, limit=2)
    assert len(found) == 1


async def operators_search_by_state(books: Books) -> None:
    wanted = RoundFilter(operator_id=OPERATOR, state=RoundState.VOID)
    found, _ = await history.page(books.database.pool, wanted, before=None, limit=PAGE)
    assert found


async def rounds_that_have_only_begun(books: Books) -> None:
    """What a list, an operator and a player ask for before and after the rows; nothing has only begun."""
    pool, key = books.database.pool, books.earlier.key
    for player_key in (None, books.seat.session.player_key):
        wanted = RoundFilter(operator_id=OPERATOR, player_key=player_key)
        assert await pending.page(pool, wanted, before=None, limit=PAGE) == ([], None)
    assert await pending.of_id(pool, key.round_id, operator_id=OPERATOR, player_id=None, limit=2) == []
    assert await pending.find(pool, key) is None


async def timeline_of_a_round(books: Books) -> None:
    pool, round_id = books.database.pool, books.earlier.key.round_id
    (found,) = await timeline.find(pool, round_id, operator_id=OPERATOR, player_id=None, limit=2)
    await timeline.record(pool, found.key)


async def decision_about_a_round(books: Books) -> None:
    pool, key = books.database.pool, books.earlier.key
    (found,) = await interventions.find(pool, key.round_id, operator_id=OPERATOR, player_id=None, limit=2)
    decision = Intervention(
        intervention_id=str(uuid4()), action=Action.VOID, reason="too late", actor="key:tests"
    )
    decided = await interventions.intervene(pool, InterveneRequest(bet=found.bet, intervention=decision))
    assert decided.verdict is InterventionVerdict.REFUSED


async def balance(books: Books) -> None:
    await books.seat.money()


async def deposit(books: Books) -> None:
    await books.seat.deposit(100)


async def withdrawal(books: Books) -> None:
    assert (await books.seat.withdraw(1))[0] == "withdrawn"


async def statement_first_page(books: Books) -> None:
    await _statement(books, before=None)


async def statement_page_in_the_middle(books: Books) -> None:
    await _statement(books, before=books.position)


async def statement_of_a_moment(books: Books) -> None:
    """In the middle of everything the player has: what is before and after it is not read."""
    await _statement(books, before=None, since=books.moment - timedelta(minutes=5), until=books.moment)


async def statement_of_a_quiet_wallet(books: Books) -> None:
    wanted = StatementFilter(player_key=books.seat.session.player_key, currency="USD")
    assert await statement.page(books.database.pool, wanted, before=None, limit=PAGE) == ([], None)


async def _statement(
    books: Books, *, before: int | None, since: datetime | None = None, until: datetime | None = None
) -> None:
    wanted = StatementFilter(player_key=books.seat.session.player_key, since=since, until=until)
    found, following = await statement.page(books.database.pool, wanted, before=before, limit=PAGE)
    assert (len(found), following is None) == (PAGE, False)


async def session(books: Books) -> None:
    """What GET /v1/game/session reads."""
    pool, own = books.database.pool, books.seat.session
    await sessions.find_session(pool, session_id=own.session_id, operator_id=OPERATOR)
    await books.seat.money()
    await sessions.open_round(pool, player_key=own.player_key, game_id=own.game_id)


async def new_session(books: Books) -> None:
    await take_seat(books.database, operator_id=OPERATOR, player_id=books.seat.session.player_id)


async def find_event(books: Books) -> None:
    assert await outbox.find(books.database.pool, books.event_id) is not None


async def event_feed_from_the_first(books: Books) -> None:
    await _feed(books, after=None)


async def event_feed_in_the_middle(books: Books) -> None:
    await _feed(books, after=books.place)


async def event_feed_at_its_end(books: Books) -> None:
    reader = feed.Feed(books.database.pool)
    end = await reader.end()
    assert await reader.page(operator_id=OPERATOR, after=end, limit=PAGE) == ([], end)


async def _feed(books: Books, *, after: int | None) -> None:
    events, _ = await feed.Feed(books.database.pool).page(operator_id=OPERATOR, after=after, limit=PAGE)
    assert len(events) == PAGE


async def sweep(books: Books) -> None:
    """What the relay reads when one event waits, and marks."""
    await settled_round(books)
    waiting = await outbox.waiting(books.database.pool, older_than_s=0, limit=100)
    await outbox.mark_published(books.database.pool, [event.event_id for event in waiting])
    assert (await outbox.backlog(books.database.pool)).waiting == 0


async def rounds_that_are_settling(books: Books) -> None:
    await settling.settling(books.database.pool)


async def statistics_write(books: Books) -> None:
    fresh = await statistics.apply(books.database.pool, [_fact(str(uuid4())), _fact(books.event_id)])
    assert fresh == 1


def _fact(event_id: str) -> RoundFact:
    return RoundFact(
        event_id=event_id,
        operator_id=OPERATOR,
        game_id="dice",
        currency="EUR",
        settled=True,
        stake=100,
        win=0,
    )


async def reconciliation_of_open_rounds(books: Books) -> None:
    now = datetime.now(UTC)
    bet = books.seat.bet()
    await books.seat.reserve(bet)
    found = await reconciliation.open_rounds(books.database.pool, after=(0, ""), before=now + LATER)
    assert [standing.key for standing in found] == [bet.key]
    assert await reconciliation.unanswered_bets(books.database.pool, after=(0, ""), before=now) == []
    await books.seat.release(bet)


async def reconciliation_of_events(books: Books) -> None:
    """A page of the newest events, and one event."""
    pool = books.database.pool
    newest = await pool.fetchval("SELECT max(id) FROM outbox")
    await reconciliation.first_event(pool)
    found = await reconciliation.events(pool, after=newest - PAGE, before=datetime.now(UTC) + LATER)
    assert 0 < len(found) <= PAGE
    event = await reconciliation.event(pool, books.event_id)
    assert event is not None
    assert event.applied


async def reconciliation_with_wallets(books: Books) -> None:
    pool, key = books.database.pool, books.earlier.key
    await reconciliation.first_attempt(pool)
    assert await reconciliation.attempts(pool, after=0, before=datetime.now(UTC)) == []
    assert await reconciliation.standing(pool, key) is not None
    found = await reconciliation.wallet_round(
        pool, operator_id=OPERATOR, player_id=books.seat.session.player_id, round_id=key.round_id
    )
    assert found is None


async def list_of_every_operators_rounds(books: Books) -> None:
    await _list(books, RoundFilter(operator_id=EVERY_OPERATOR), found=PAGE)


async def list_of_every_operators_void_rounds(books: Books) -> None:
    await _list(books, RoundFilter(operator_id=EVERY_OPERATOR, failure_code="resolve-failed"), found=1)


async def list_of_what_is_open(books: Books) -> None:
    for tenant in (OPERATOR, EVERY_OPERATOR):
        await _list(books, RoundFilter(operator_id=tenant, state=RoundState.PENDING), found=0)


async def list_of_a_span(books: Books) -> None:
    """In the middle of everything the operator has: what is before and after it is not read."""
    since, until = books.moment - timedelta(minutes=5), books.moment
    await _list(books, RoundFilter(operator_id=OPERATOR, since=since, until=until), found=1)


async def list_of_what_is_nowhere(books: Books) -> None:
    """The rest of a filter that no index answers is asked of a window."""
    for tenant in (OPERATOR, EVERY_OPERATOR):
        for rest in ({"game_id": "none"}, {"brand": "none"}, {"win_at_least": 10**12}, {"demo": True}):
            await _list(books, RoundFilter(operator_id=tenant, **rest), found=0)


async def _list(books: Books, wanted: RoundFilter, *, found: int) -> None:
    """At least so many, of one small window that begins where it should."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "WINDOW", WINDOW)
        patch.setattr(history, "APART", timedelta(0))
        part = await history.find(books.database.pool, wanted, before=None, limit=PAGE)
    assert len(part.rounds) >= found


async def what_is_stuck(books: Books) -> None:
    pool, before = books.database.pool, datetime.now(UTC) + LATER
    bet = books.seat.bet()
    await books.seat.reserve(bet)
    for tenant in (OPERATOR, EVERY_OPERATOR):
        (found,), _ = await stuck.rounds(pool, tenant, before=before, limit=PAGE)
        assert found.key == bet.key
        assert await stuck.bets(pool, tenant, before=before, limit=PAGE) == ([], 0)
        await stuck.events(pool, tenant, before=before)
        await stuck.webhooks(pool, tenant, before=before)
        await stuck.incidents(pool, tenant, limit=PAGE)
        assert len(await stuck.now(pool, tenant, moment=before)) == 1
    await stuck.transactions(pool, before=before)
    assert await stuck.unknown(pool, [bet.key]) == []
    assert await stuck.at_wallet(pool, [bet.key]) == {}
    await books.seat.release(bet)
    await outbox.mark_published(
        pool, [event.event_id for event in await outbox.waiting(pool, older_than_s=0, limit=100)]
    )


async def look_at_now(books: Books) -> None:
    """What the console asks every two seconds, of fewer rounds than there are where there are few."""
    pool, moment = books.database.pool, datetime.now(UTC)
    assert (await now.pace(pool, OPERATOR, moment=moment, latest=WINDOW)).rounds == WINDOW
    await now.wallet_dialect(pool, OPERATOR)
    await now.calls(pool, OPERATOR, latest=WINDOW)
    await now.unpublished(pool, OPERATOR)
    await now.uncounted_since(pool, OPERATOR, moment=moment, latest=WINDOW)
    await now.webhooks(pool, OPERATOR)
    await now.incidents(pool, OPERATOR)


async def figures_of_games(books: Books) -> None:
    pool = books.database.pool
    assert await game_figures.newest(pool, OPERATOR, demo=False, window=WINDOW)
    assert await game_figures.newest(pool, OPERATOR, "none", demo=False, window=WINDOW) == []
    assert (await game_figures.reach(pool, OPERATOR, demo=False, window=WINDOW)).rounds == WINDOW
    assert (await game_figures.reach(pool, OPERATOR, demo=True)).rounds == 0
    await game_figures.counted(pool, OPERATOR)
    await game_figures.switched(pool, OPERATOR)


OPERATIONS: Final[tuple[Operation, ...]] = (
    *(settled_round, void_round, declined_round, repeated_reserve, repeated_settle),
    *(a_round, rounds_since_a_lost_connection, first_page, page_in_the_middle),
    *(operators_first_page, operators_page_in_the_middle),
    *(operators_search_by_round, operators_search_by_state, timeline_of_a_round),
    *(rounds_that_have_only_begun, decision_about_a_round),
    *(balance, deposit, withdrawal, session, new_session),
    *(statement_first_page, statement_page_in_the_middle, statement_of_a_moment, statement_of_a_quiet_wallet),
    *(event_feed_from_the_first, event_feed_in_the_middle, event_feed_at_its_end),
    *(find_event, sweep, rounds_that_are_settling, statistics_write),
    *(reconciliation_of_open_rounds, reconciliation_of_events, reconciliation_with_wallets),
    *(list_of_every_operators_rounds, list_of_every_operators_void_rounds, list_of_what_is_open),
    *(list_of_a_span, list_of_what_is_nowhere, what_is_stuck),
    *(look_at_now, figures_of_games),
)
