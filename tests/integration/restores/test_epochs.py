"""A ledger that was restored: it says so, nobody plays on it, and nothing is drawn or numbered twice.

A restore is told by its timeline: a row of another one makes a database look like one that was put back."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from temporalio.service import RPCError, RPCStatusCode

from contracts.rounds import Bet, RoundClosed, RoundKey, RoundState
from contracts.views import RoundView
from runtime.past_rounds import PastRound
from runtime.recovery import Recovered, Recovery, close_if_behind
from security.keyring import Keyring
from security.seeds import SeedVault
from storage import incidents, restores, rounds, statistics
from storage.database import AWAY, Database, LedgerRestored, open_database
from storage.restores import LedgerState, Lost
from storage.statistics import RoundFact
from tests.conftest import Services
from tests.support.databases import as_application, own_database, owner_url
from tests.support.ledger import Seat, assert_hold, take_seat
from verification.invariants.table import INVARIANTS
from wallet.ledger import LedgerSteps
from wallet.retired_seeds import RetiredSeeds, new_seed

RANGE = 10**12
VAULT = SeedVault(Keyring.generate())


@pytest.fixture
async def own(services: Services) -> AsyncIterator[Database]:
    async with own_database(services, connections=5) as database:
        yield database


async def put_back(database: Database) -> None:
    """As a restore leaves it: the server's timeline is not that of the last epoch."""
    await database.pool.execute(
        "UPDATE ledger_epochs SET timeline = 4711 WHERE number = (SELECT max(number) FROM ledger_epochs)"
    )


async def recovered(database: Database, known: int = 0) -> restores.Epoch:
    """What Recovery does of itself, without a Temporal to compare with. Ends the pool's other connections."""
    async with database.pool.acquire() as connection:
        epoch = await restores.begin(connection, known=known)
        await restores.open_(connection, epoch)
    return epoch


async def settled(seat: Seat) -> RoundView:
    bet = seat.bet()
    await seat.reserve(bet)
    return await seat.settle(bet, 50)


async def assert_all_hold(database: Database) -> None:
    async with database.pool.acquire() as connection:
        await assert_hold(connection, INVARIANTS)


async def test_a_database_is_open_until_it_is_put_back_and_again_once_it_is_recovered(own: Database) -> None:
    assert await restores.state(own.pool) is LedgerState.OPEN
    await put_back(own)
    assert await restores.state(own.pool) is LedgerState.RESTORED
    async with own.pool.acquire() as connection:
        epoch = await restores.begin(connection, known=0)
        assert await restores.state(connection) is LedgerState.RECOVERING
        # The recovery died here: the next one goes on with what it began.
        assert (await restores.begin(connection, known=0)).number == epoch.number == 2
        await restores.open_(connection, epoch)
        assert await restores.state(connection) is LedgerState.OPEN
    await restores.suspect(own.pool)
    assert await restores.state(own.pool) is LedgerState.RESTORED
    assert (await recovered(own, known=2)).number == 3


async def test_who_plays_finds_no_connection_before_the_recovery_and_who_does_not_finds_one(
    services: Services, own: Database
) -> None:
    url = as_application(services, await owner_url(services, own))
    playing = await open_database(url, connections=1, plays=True)
    await put_back(own)
    assert await playing.pool.fetchval("SELECT 1") == 1, "a restore of the test restarts no server"
    with pytest.raises(LedgerRestored, match="the ledger is restored"):
        await open_database(url, connections=1, plays=True)
    looking = await open_database(url, connections=1)
    await looking.close()

    async with own.pool.acquire() as connection:
        epoch = await restores.begin(connection, known=0)
        with pytest.raises((*AWAY, asyncpg.PostgresError)):
            await playing.pool.fetchval("SELECT 1")  # its connection of before was ended
        with pytest.raises(LedgerRestored, match="recovering"):
            await playing.pool.fetchval("SELECT 1")
        await restores.open_(connection, epoch)
    assert await playing.pool.fetchval("SELECT 1") == 1
    await playing.close()


async def test_ids_and_numbers_go_on_where_nothing_was_given_out(own: Database) -> None:
    seat = await take_seat(own, balance=1_000)
    before = await settled(seat)
    assert before.sequence is not None
    await put_back(own)
    epoch = await recovered(own)
    assert epoch.gap == RANGE
    newcomer = await take_seat(own, balance=1_000)
    first = await settled(newcomer)
    await seat.deposit(100)
    assert [event["sequence"] for event in await seat.every_event()][-1] == before.sequence + 1 + RANGE
    assert newcomer.session.player_key > RANGE
    assert newcomer.session.account_id > RANGE
    assert first.sequence is not None
    assert first.sequence > RANGE, "a player that was lost comes again as a new one"
    assert await own.pool.fetchval(
        "SELECT min(id) > $1 FROM outbox WHERE occurred_at > $2", RANGE, epoch.noticed_at
    )
    await assert_all_hold(own)


async def test_a_second_restore_to_before_the_first_takes_a_range_of_its_own(own: Database) -> None:
    """The row of the first epoch is gone with everything that was numbered in it. Temporal knows it."""
    await put_back(own)
    assert (await recovered(own, known=6)).gap == 6 * RANGE
    seat = await take_seat(own, balance=1_000)
    view = await settled(seat)
    assert view.sequence is not None
    assert 6 * RANGE < view.sequence < 7 * RANGE
    await assert_all_hold(own)


async def test_nothing_is_drawn_from_a_seed_of_before_and_its_player_can_check_it(own: Database) -> None:
    seat = await take_seat(own, balance=1_000)
    before = await settled(seat)
    await put_back(own)
    await recovered(own)
    bet = seat.bet()
    with pytest.raises(asyncpg.RestrictViolationError, match="is retired"):
        await LedgerSteps(own.pool).reserve(bet)
    assert await rounds.find(own.pool, bet.key) is None, "a draw that is refused leaves nothing"
    steps = LedgerSteps(own.pool, RetiredSeeds(own.pool, VAULT))
    view = await steps.reserve(bet)
    assert (view.state, view.nonce) == (RoundState.PENDING, 0)
    assert view.seed_id != before.seed_id
    assert view.client_seed == before.client_seed
    assert (await steps.reserve(bet)).seed_id == view.seed_id, "a repeat draws nothing"
    revealed = await own.pool.fetchrow("SELECT revealed_at FROM seeds WHERE id = $1", before.seed_id)
    assert revealed["revealed_at"] is not None
    await seat.settle(bet, 0)
    await assert_all_hold(own)


async def test_bets_at_once_replace_a_retired_seed_once(own: Database) -> None:
    seat = await take_seat(own, balance=1_000)
    await put_back(own)
    await recovered(own)
    steps = LedgerSteps(own.pool, RetiredSeeds(own.pool, VAULT))
    bets = [seat.bet() for _ in range(4)]
    views = await asyncio.gather(*(steps.reserve(bet) for bet in bets))
    drawn = [view for view in views if view.state is RoundState.PENDING]
    assert len(drawn) == 1, "one round of a game is open at a time"
    assert (
        await own.pool.fetchval("SELECT count(*) FROM seeds WHERE player_key = $1", seat.session.player_key)
        == 2
    )
    await seat.settle(dataclasses.replace(bets[0], key=drawn[0].key), 0)
    await assert_all_hold(own)


async def test_a_lost_round_of_our_ledger_is_void_once_and_its_id_is_spent(own: Database) -> None:
    seat = await take_seat(own, balance=1_000)
    bet = seat.bet()
    for expected in (Lost.VOID, Lost.KNOWN):
        assert await restores.record(own.pool, bet, why="for a test", spare=new_seed(VAULT)) is expected
    view = await seat.reserve(bet)
    assert (view.state, view.failure_code) == (RoundState.VOID, "round-lost")
    assert await seat.money() == (1_000, 0)
    lost = dataclasses.replace(bet, session_id="of-the-lost-time", key=seat.bet().key)
    assert await restores.record(own.pool, lost, why="for a test", spare=new_seed(VAULT)) is Lost.FOREIGN
    await assert_all_hold(own)


async def test_statistics_pass_over_events_that_the_restore_has_lost(own: Database) -> None:
    """The broker may have them yet, or a consumer of before has them in hand."""
    fact = RoundFact(
        event_id=str(uuid4()), operator_id="op", game_id="dice", currency="EUR", settled=True, stake=1, win=0
    )
    await put_back(own)
    await recovered(own)
    assert await statistics.apply(own.pool, [fact]) == 0
    seat = await take_seat(own, balance=1_000)
    view = await settled(seat)
    assert view.event_id is not None
    assert await statistics.apply(own.pool, [dataclasses.replace(fact, event_id=view.event_id)]) == 1


class Past:
    """A Temporal that remembers these rounds."""

    def __init__(self, *told: PastRound) -> None:
        self.told = {one.bet.key: one for one in told}
        self.number = 1
        self.kept = timedelta(days=30)
        self.terminated: list[RoundKey] = []

    async def epoch(self) -> int:
        return self.number

    async def keep_epoch(self, number: int) -> None:
        self.number = number

    async def retention(self) -> timedelta:
        return self.kept

    async def latest_completed(self) -> list[RoundKey]:
        return list(self.told)

    async def started(self, *, since: datetime, until: datetime) -> AsyncIterator[list[RoundKey]]:
        yield list(self.told)

    async def tell(self, key: RoundKey) -> PastRound | None:
        return self.told.get(key)

    async def terminate(self, key: RoundKey, why: str) -> None:
        self.terminated.append(key)


def told(bet: Bet, state: RoundState | None, **changes: Any) -> PastRound:
    """A workflow that came to this end; None: it runs."""
    result = None if state is None else RoundClosed(state=state)
    played = PastRound(
        bet=bet, started_at=datetime.now(UTC), running=state is None, result=result, actions=(), waited=False
    )
    return dataclasses.replace(played, **changes)


async def recover(database: Database, past: Past) -> Recovered | None:
    async def restart(bet: Bet) -> bool:
        return True

    return await Recovery(database.pool, past, restart, VAULT).recover(lambda text: None)  # type: ignore[arg-type]


async def test_a_copy_of_files_gives_itself_away_by_what_temporal_has_completed(own: Database) -> None:
    """It has the timeline that it had. Rounds of another database in the same namespace are none of ours."""
    seat = await take_seat(own, balance=1_000)
    declined, foreign = told(seat.bet(), RoundState.DECLINED), dataclasses.replace(seat.bet(), player_id="x")
    for innocent in (
        Past(),
        Past(declined),
        Past(told(foreign, RoundState.SETTLED)),
        Past(told(seat.bet(), None)),
    ):
        await close_if_behind(own.pool, innocent)  # type: ignore[arg-type]
        assert await restores.state(own.pool) is LedgerState.OPEN
    past = Past(told(seat.bet(), RoundState.SETTLED))
    await close_if_behind(own.pool, past)  # type: ignore[arg-type]
    assert await restores.state(own.pool) is LedgerState.RESTORED
    found = await recover(own, past)
    assert found is not None
    assert (found.epoch.number, past.number, len(found.lost)) == (2, 2, 1)
    await close_if_behind(own.pool, past)  # type: ignore[arg-type]
    assert await restores.state(own.pool) is LedgerState.OPEN, "a loss that is on record is no new one"


async def test_a_recovery_lists_each_lost_round_once_and_what_temporal_has_forgotten(own: Database) -> None:
    seat = await take_seat(own, balance=1_000)
    known = await settled(seat)
    lost, running = seat.bet(), seat.bet()
    past = Past(
        told(known.bet, RoundState.SETTLED),
        told(seat.bet(), RoundState.DECLINED),
        told(lost, RoundState.SETTLED),
        told(running, None),
    )
    past.kept = timedelta(0)
    await put_back(own)
    found = await recover(own, past)
    assert found is not None
    assert {one.bet.key: one.became for one in found.lost} == {lost.key: Lost.VOID, running.key: Lost.VOID}
    assert running.key in past.terminated
    assert len(found.warnings) == 1
    assert "rounds that ended before are not listed" in found.warnings[0]
    noted = {one.finding.subject for one in await incidents.listed(own.pool, resolved_too=True, limit=10)}
    assert noted == {lost.key.workflow_id, running.key.workflow_id}
    # A second restore, right after the first, finds them on record and itself in an epoch of its own.
    await put_back(own)
    again = await recover(own, past)
    assert again is not None
    assert (again.epoch.number, again.lost) == (3, ())
    await assert_all_hold(own)


async def test_a_temporal_that_never_knew_the_ledger_is_told_of(own: Database) -> None:
    """It has no history of the lost time: an empty list says nothing then."""
    past = Past()
    past.number = 0
    await put_back(own)
    found = await recover(own, past)
    assert found is not None
    assert found.lost == ()
    assert [text for text in found.warnings if "has never known this ledger" in text]


async def test_recoveries_at_once_are_one(own: Database) -> None:
    seat = await take_seat(own, balance=1_000)
    past = Past(told(seat.bet(), RoundState.SETTLED))
    await put_back(own)
    found = await asyncio.gather(*(_patient(own, past) for _ in range(3)))
    assert [one.epoch.number for one in found if one is not None] == [2]


async def _patient(database: Database, past: Past) -> Recovered | None:
    """As the reconciler does: the first one ends the connection on which another waits, which asks again."""
    while True:
        try:
            return await recover(database, past)
        except AWAY:
            continue


async def test_a_recovery_that_dies_leaves_the_ledger_closed_and_the_next_one_ends_it(own: Database) -> None:
    seat = await take_seat(own, balance=1_000)
    bets = [seat.bet() for _ in range(3)]
    past = Past(*(told(bet, RoundState.SETTLED) for bet in bets))
    keep_epoch = past.keep_epoch

    async def die(number: int) -> None:
        raise RPCError("away", RPCStatusCode.UNAVAILABLE, b"")

    past.keep_epoch = die  # type: ignore[method-assign]
    await put_back(own)
    with pytest.raises(RPCError):
        await recover(own, past)
    assert await restores.state(own.pool) is LedgerState.RECOVERING
    past.keep_epoch = keep_epoch  # type: ignore[method-assign]
    found = await recover(own, past)
    assert found is not None
    assert (found.epoch.number, found.lost) == (2, ()), "they are on record already"
    noted = {one.finding.subject for one in await incidents.listed(own.pool, resolved_too=True, limit=10)}
    assert noted == {bet.key.workflow_id for bet in bets}
    assert await restores.state(own.pool) is LedgerState.OPEN
