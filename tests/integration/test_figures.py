"""The figures of the whole database: rounds that are open or wait for a wallet, webhooks that are behind, and
the operators that have figures of their own."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from prometheus_client import Gauge

from contracts.rounds import Bet, Resolution
from contracts.webhooks import WebhookKey
from runtime import metrics
from runtime.metrics import OTHER, KnownLabels
from storage import operator_wallets, rounds
from storage import webhooks as stored
from storage.database import Database
from storage.feed import Feed
from tests.conftest import Services
from tests.support.acting import BY
from tests.support.conditions import until
from tests.support.databases import own_database
from tests.support.ledger import OUTCOME, Seat, take_seat
from workers import known_operators
from workers.figures import OPEN_AGE_SECONDS, ROUNDS_OPEN, ROUNDS_SETTLING, SETTLING_AGE_SECONDS, Figures
from workers.webhooks import LAG_SECONDS, _show_lags


@pytest.fixture(scope="module")
async def database(services: Services) -> AsyncIterator[Database]:
    """One of its own: the figures are of every round."""
    async with own_database(services, connections=5) as opened:
        yield opened


@pytest.fixture(autouse=True)
def operators(monkeypatch: pytest.MonkeyPatch) -> KnownLabels:
    own = KnownLabels(1_000)
    monkeypatch.setattr(metrics, "OPERATORS", own)
    return own


@pytest.fixture
def figures() -> Figures:
    return Figures(time.monotonic)


def of(gauge: Gauge, operator: str, kind: str) -> float:
    value: float = gauge.labels(operator, kind)._value.get()
    return value


async def aged(database: Database, seat: Seat, seconds: int) -> None:
    """The seat's open rounds began so long ago."""
    await database.pool.execute(
        "UPDATE rounds SET created_at = created_at - $2::interval WHERE player_key = $1",
        seat.session.player_key,
        timedelta(seconds=seconds),
    )


class TestOpenRounds:
    async def test_are_counted_by_operator_and_state_with_the_age_of_the_oldest(
        self, database: Database, figures: Figures
    ) -> None:
        seat, other = await take_seat(database, balance=1_000), await take_seat(database, balance=1_000)
        operator = seat.session.operator_id
        second = await take_seat(database, balance=1_000, operator_id=operator)
        for one in (seat, second, other):
            await one.reserve(one.bet())
        await aged(database, second, 90)
        await figures.check(database.pool)
        assert of(ROUNDS_OPEN, operator, "pending") == 2
        assert 90 <= of(OPEN_AGE_SECONDS, operator, "pending") < 90 + 3_600
        assert of(ROUNDS_OPEN, other.session.operator_id, "pending") == 1
        assert of(ROUNDS_OPEN, operator, "awaiting_choice") == 0

    async def test_are_at_0_again_when_they_have_ended(self, database: Database, figures: Figures) -> None:
        seat = await take_seat(database, balance=1_000)
        bet, operator = seat.bet(), seat.session.operator_id
        await seat.reserve(bet)
        await figures.check(database.pool)
        assert of(ROUNDS_OPEN, operator, "pending") == 1
        await database.pool.fetchrow(rounds.SETTLE, bet.key.player_key, bet.key.round_id, OUTCOME, 10, 0)
        await figures.check(database.pool)
        assert (of(ROUNDS_OPEN, operator, "pending"), of(OPEN_AGE_SECONDS, operator, "pending")) == (0, 0)

    async def test_of_operators_beyond_the_limit_are_counted_together(
        self, database: Database, figures: Figures, operators: KnownLabels
    ) -> None:
        operators.allow(0)
        before = await self._of_others(database, figures)
        for age_s in (30, 60):
            seat = await take_seat(database, balance=1_000)
            await seat.reserve(seat.bet())
            await aged(database, seat, age_s)
        assert await self._of_others(database, figures) == before + 2
        assert of(OPEN_AGE_SECONDS, OTHER, "pending") >= 60

    async def _of_others(self, database: Database, figures: Figures) -> float:
        await figures.check(database.pool)
        return of(ROUNDS_OPEN, OTHER, "pending")


async def test_rounds_that_wait_for_their_wallet_are_counted(database: Database, figures: Figures) -> None:
    """A win and a rollback that are not taken; not a bet that is only being asked for, nor what has ended."""
    first = await take_seat(database)
    operator = first.session.operator_id
    seats = [first, *[await take_seat(database, operator_id=operator) for _ in range(2)]]

    async def counted() -> dict[str, float]:
        await figures.check(database.pool)
        return {call: of(ROUNDS_SETTLING, operator, call) for call in ("win", "rollback")}

    won, undone, asked = bets = [seat.bet() for seat in seats]
    for bet in bets:
        await operator_wallets.begin_bet(database.pool, bet, f"bet-{bet.key.round_id}")
    await operator_wallets.accept_bet(database.pool, won, balance=900)
    await operator_wallets.record_result(database.pool, won.key, Resolution(outcome=OUTCOME, win=250))
    await _begin_release(database, undone)
    assert await counted() == {"win": 1, "rollback": 1}
    assert min(of(SETTLING_AGE_SECONDS, operator, call) for call in ("win", "rollback")) > 0

    await operator_wallets.close(database.pool, won.key, balance=1_150)
    await _begin_release(database, asked)
    for bet in (undone, asked):
        await operator_wallets.release(
            database.pool, bet, failure_code="resolve-failed", failure_detail="", balance=None
        )
    assert await counted() == {"win": 0, "rollback": 0}
    assert max(of(SETTLING_AGE_SECONDS, operator, call) for call in ("win", "rollback")) == 0


async def _begin_release(database: Database, bet: Bet) -> None:
    await operator_wallets.begin_release(
        database.pool, bet, failure_code="resolve-failed", failure_detail="for a test"
    )


async def test_a_webhook_is_as_far_behind_as_the_oldest_event_that_it_has_not_come_to(
    database: Database,
) -> None:
    seat, other = await take_seat(database, balance=1_000), await take_seat(database, balance=1_000)
    operator, key = seat.session.operator_id, uuid4().hex
    await stored.create(
        database.pool,
        WebhookKey(operator_id=operator, webhook_id=key),
        url="http://127.0.0.1:9/",
        types=None,
        sealed_secrets="",
        cursor=await Feed(database.pool).end(),
        by=BY,
    )

    async def lag_s() -> float:
        _show_lags(await stored.lags(database.pool))
        value: float = LAG_SECONDS.labels(operator)._value.get()
        return value

    for one in (other, seat):
        bet = one.bet()
        await one.reserve(bet)
        if one is seat:
            assert await lag_s() == 0, "an event of another operator is none of its"
        await database.pool.fetchrow(rounds.SETTLE, bet.key.player_key, bet.key.round_id, OUTCOME, 10, 0)
    first = await lag_s()
    assert 0 < first < await lag_s(), "it grows until the webhook has come to it"
    webhook = await stored.find(database.pool, WebhookKey(operator_id=operator, webhook_id=key))
    assert webhook is not None
    await stored.move(database.pool, webhook, to=await Feed(database.pool).end(), delivered=True, failures=[])
    assert await lag_s() == 0


async def test_the_oldest_operators_are_known_before_anything_is_counted_of_them(
    database: Database, operators: KnownLabels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_operators, "REFRESH_S", 0.01)
    seats = [await take_seat(database) for _ in range(2)]
    async with known_operators.known(database.pool, 1_000, [seats[0].session.operator_id]):
        assert {seat.session.operator_id for seat in seats} <= set(operators.labels())
        shown = [sample for family in metrics.WALLET_CALLS.collect() for sample in family.samples]
        assert any(
            sample.labels == {"operator": seats[0].session.operator_id, "call": "bet", "outcome": "not-asked"}
            and sample.value == 0
            for sample in shown
        )
        late = (await take_seat(database)).session.operator_id

        async def is_known() -> bool:
            return late in operators.labels()

        await until(is_known)


async def test_who_came_first_keeps_its_name(database: Database, operators: KnownLabels) -> None:
    await take_seat(database)  # or there may be nobody yet
    first = await database.pool.fetchval("SELECT id FROM operators ORDER BY created_at, id LIMIT 1")
    async with known_operators.known(database.pool, 1):
        assert operators.labels() == (OTHER, first)
        assert operators.of((await take_seat(database)).session.operator_id) == OTHER
