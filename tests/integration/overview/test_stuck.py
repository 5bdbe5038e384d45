"""What is stuck: each kind, in words, with what may be decided; and what is told when a service is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import uuid4

import aio_pika
import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    ScheduleState,
)

from contracts.choices import Abandonment
from contracts.interventions import Action, InterveneRequest, Intervention, InterventionVerdict, allowed
from contracts.reconciliation import Finding, IncidentKind
from contracts.rounds import Bet, RoundState
from contracts.sessions import DEMO, REAL
from contracts.steps import ROUND_WORKFLOW
from contracts.views import EVERY_OPERATOR
from events import broker
from overview import overdue, services
from overview.model import Kind, Stuck
from overview.rounds import Rounds, Sources
from storage import incidents, interventions, stuck
from storage.database import Database
from tests.integration.interventions.decisions import settling
from tests.integration.overview.conftest import nowhere
from tests.integration.test_choices_ledger import OFFER, opened, waiting
from tests.integration.wallet.seats import WalletSeat
from tests.integration.wallet.table import ACCEPTED, TIMEOUT, Table
from tests.support.conditions import until
from tests.support.ledger import Seat, take_seat
from wallet.steps import WalletPending

# Whatever is open now is overdue: nobody waits for a minute to pass.
AT_ONCE: Final = timedelta(hours=-2)
NO_WORKER: Final = "nobody-works-here"


@pytest.fixture
async def seat(own: Database) -> Seat:
    """A player of an operator of its own."""
    return await take_seat(own, balance=1_000)


async def stuck_at(rounds: Rounds, seat: Seat) -> list[Stuck]:
    """What is stuck at the player's operator, without what is said of Temporal."""
    found = await rounds.stuck(seat.session.operator_id, older_than=AT_ONCE, limit=20)
    return [one for one in found.stuck if one.kind is not Kind.SERVICE]


async def the_one(rounds: Rounds, seat: Seat, kind: Kind) -> Stuck:
    (found,) = [one for one in await stuck_at(rounds, seat) if one.kind is kind]
    return found


class TestRounds:
    async def test_that_hold_their_stake(self, seat: Seat, rounds: Rounds) -> None:
        bet = seat.bet()
        await seat.reserve(bet)
        found = await the_one(rounds, seat, Kind.ROUND)
        assert (found.round_id, found.player_id) == (bet.key.round_id, bet.player_id)
        assert found.why == "100 EUR are held, and the round has no result on record."
        assert found.actions == (Action.RETRY_NOW, Action.VOID)
        assert found.next.startswith(f"./croupier round show {bet.key.round_id} --operator ")

    async def test_whose_win_is_not_taken(self, seat: Seat, rounds: Rounds) -> None:
        table = Table(seat)
        bet = seat.bet()
        await table.reserve(bet, ACCEPTED)
        with pytest.raises(WalletPending):
            await table.settle(bet, TIMEOUT)
        found = await the_one(rounds, seat, Kind.ROUND)
        assert found.why.startswith(
            "Its result is on record, and the wallet has not taken the win; 100 EUR were staked;"
            " asked 2 times, last for the win at "
        )
        assert found.why.endswith("(unknown: timeout).")
        assert found.actions == (Action.RETRY_NOW, Action.VOID, Action.PAID_OUTSIDE, Action.REFUNDED_OUTSIDE)

    async def test_that_are_on_their_way_to_void(self, seat: Seat, rounds: Rounds) -> None:
        at_wallet = WalletSeat(seat)
        bet = at_wallet.bet()
        await at_wallet.pending(bet)
        await at_wallet.begin_release(bet)
        found = await the_one(rounds, seat, Kind.ROUND)
        assert found.why.startswith("It is on its way to void, and the wallet has not taken the rollback")
        assert found.actions == (Action.RETRY_NOW, Action.VOID, Action.REFUNDED_OUTSIDE)

    async def test_whose_stake_no_wallet_has_answered_for(self, seat: Seat, rounds: Rounds) -> None:
        at_wallet = WalletSeat(seat)
        await at_wallet.begin(at_wallet.bet())
        found = await the_one(rounds, seat, Kind.BET)
        assert found.why == "The wallet has not answered for the stake of 100 EUR."
        assert found.actions == (Action.RETRY_NOW, Action.VOID)

    async def test_whose_player_did_not_decide_in_time(self, seat: Seat, rounds: Rounds) -> None:
        await waiting(seat)
        found = await the_one(rounds, seat, Kind.ROUND)
        assert found.why.startswith("Its player had until ")

    async def test_that_wait_for_their_player_without_end_are_not_stuck(
        self, seat: Seat, rounds: Rounds
    ) -> None:
        bet = seat.bet()
        await seat.reserve(bet)
        await opened(seat, bet, offer=replace(OFFER, abandonment=Abandonment.HOLD))
        assert {one.kind for one in await stuck_at(rounds, seat)} <= {Kind.EVENTS}

    async def test_that_have_just_begun_are_not_stuck(self, seat: Seat, rounds: Rounds) -> None:
        await seat.reserve(seat.bet())
        found = await rounds.stuck(seat.session.operator_id, limit=20)
        assert [one for one in found.stuck if one.kind is Kind.ROUND] == []

    async def test_more_than_the_limit_are_counted_and_the_longest_shown(
        self, own: Database, rounds: Rounds
    ) -> None:
        operator_id = f"many-{uuid4().hex[:8]}"
        bets = []
        for _ in range(4):
            each = await take_seat(own, operator_id=operator_id, balance=100)
            bets.append(each.bet())
            await each.reserve(bets[-1])
        found = await rounds.stuck(operator_id, older_than=AT_ONCE, limit=2)
        shown = [one.round_id for one in found.stuck if one.kind is Kind.ROUND]
        assert shown == [bet.key.round_id for bet in bets[:2]]
        assert found.more[Kind.ROUND] == 2
        assert found.as_dict()["more"] == {"round": 2}


class TestActions:
    """What is said to be allowed is what the ledger accepts: each is tried, and taken back."""

    @pytest.mark.parametrize(
        "state",
        ["pending", "asked", "asked-releasing", "at-wallet", "settling", "settling-releasing", "settled"],
    )
    async def test_are_those_that_the_ledger_accepts(self, own: Database, state: str) -> None:
        at_wallet = WalletSeat(await take_seat(own, balance=1_000))
        bet = at_wallet.bet()
        await _bring(at_wallet, bet, state)
        view = await own.pool.fetchrow(
            "SELECT state FROM rounds WHERE player_key = $1 AND round_id = $2",
            bet.key.player_key,
            bet.key.round_id,
        )
        asked = await stuck.at_wallet(own.pool, [bet.key])
        said = allowed(
            None if view is None else RoundState(view["state"]),
            at_wallet=bet.key in asked,
            releasing=asked.get(bet.key, False),
        )
        assert set(said) == {action for action in Action if await _accepts(own, bet, action)}


async def _bring(at_wallet: WalletSeat, bet: Bet, state: str) -> None:
    match state:
        case "pending" | "settled":
            await at_wallet.seat.reserve(bet)
            if state == "settled":
                await at_wallet.seat.settle(bet, 5)
        case "asked" | "asked-releasing":
            await at_wallet.begin(bet)
        case "at-wallet":
            await at_wallet.pending(bet)
        case "settling" | "settling-releasing":
            await settling(at_wallet, bet)
    if state == "asked-releasing":
        await at_wallet.begin_release(bet)
    if state == "settling-releasing":
        await interventions.intervene(at_wallet.pool, _request(bet, Action.VOID))


async def _accepts(own: Database, bet: Bet, action: Action) -> bool:
    async with own.pool.acquire() as connection:
        tried = connection.transaction()
        await tried.start()
        try:
            result = await interventions.intervene(connection, _request(bet, action))
        finally:
            await tried.rollback()
    return result.verdict is InterventionVerdict.ACCEPTED


def _request(bet: Bet, action: Action) -> InterveneRequest:
    decision = Intervention(intervention_id=str(uuid4()), action=action, reason="a test", actor="key:tests")
    return InterveneRequest(bet=bet, intervention=decision)


class TestWhatIsNotARound:
    async def test_events_that_the_broker_has_not_confirmed(self, seat: Seat, rounds: Rounds) -> None:
        bet = seat.bet()
        await seat.reserve(bet)
        await seat.settle(bet, 0)
        found = await the_one(rounds, seat, Kind.EVENTS)
        assert "not confirmed by the broker" in found.why
        assert found.subject == seat.session.operator_id

    async def test_webhooks_that_are_behind_or_that_nobody_sends_for(
        self, own: Database, seat: Seat, rounds: Rounds
    ) -> None:
        operator_id = seat.session.operator_id
        await own.pool.execute(
            "INSERT INTO webhooks (id, operator_id, url, sealed_secrets, cursor, last_error)"
            " VALUES ($1, $2, 'https://example.com/hook', 'sealed', 0, 'HTTP 500')",
            f"hook-{operator_id}",
            operator_id,
        )
        for state, dead_at in (("pending", None), ("dead", "2026-11-01T00:00:00Z")):
            await own.pool.execute(
                "INSERT INTO webhook_deliveries (webhook_id, event_id, state, attempts, last_error, dead_at)"
                " VALUES ($1, gen_random_uuid(), $2, 3, 'HTTP 500', $3::text::timestamptz)",
                f"hook-{operator_id}",
                state,
                dead_at,
            )
        found = [one for one in await stuck_at(rounds, seat) if one.kind is Kind.WEBHOOK]
        idle, pending, dead = found
        assert idle.why == "Nothing is sent to https://example.com/hook, never."
        assert pending.why.startswith("1 events wait for https://example.com/hook since ")
        assert "HTTP 500" in pending.why
        assert dead.next == f"./croupier webhooks replay hook-{operator_id} --all"

    async def test_incidents(self, own: Database, seat: Seat, rounds: Rounds) -> None:
        bet = seat.bet()
        finding = Finding(
            kind=IncidentKind.WALLET_DIFFERS,
            subject=bet.key.workflow_id,
            operator_id=bet.key.operator_id,
            player_key=bet.key.player_key,
            round_id=bet.key.round_id,
            game_id="dice",
            detail={},
        )
        await incidents.note(own.pool, finding)
        found = await the_one(rounds, seat, Kind.INCIDENT)
        assert found.why == "Reconciliation found a difference of the kind wallet-differs."

    async def test_transactions_that_do_not_end_and_which_of_them_hold_the_feed(
        self, own: Database, rounds: Rounds
    ) -> None:
        async with own.pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE outbox IN ROW EXCLUSIVE MODE")
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            report = await rounds.stuck(EVERY_OPERATOR, older_than=AT_ONCE, limit=20)
            (found,) = [one for one in report.stuck if one.subject == f"pid {pid}"]
        assert found.kind is Kind.TRANSACTION
        assert found.why.endswith("and the event feed and all webhooks wait for it.")
        assert found.next == f'./croupier psql --write -c "SELECT pg_terminate_backend({pid})"'

    async def test_what_is_the_platforms_is_told_to_no_operator(
        self, own: Database, seat: Seat, rounds: Rounds
    ) -> None:
        async with own.pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE outbox IN ROW EXCLUSIVE MODE")
            assert {one.kind for one in await stuck_at(rounds, seat)} <= {Kind.EVENTS}


class TestTemporal:
    async def test_that_is_away_comes_first_and_the_rest_is_told(self, seat: Seat, rounds: Rounds) -> None:
        await seat.reserve(seat.bet())
        found = await rounds.stuck(seat.session.operator_id, older_than=AT_ONCE, limit=20)
        away, held, *_ = found.stuck
        assert (away.kind, away.subject, held.kind) == (Kind.SERVICE, "Temporal", Kind.ROUND)
        assert "Temporal is not asked here" in away.why
        assert held.waits_for == "Temporal was not asked."

    async def test_tells_what_a_rounds_workflow_waits_for(
        self, own: Database, seat: Seat, temporal: Client
    ) -> None:
        """Three rounds: one whose workflow waits for a worker, one that was terminated, one that has none."""
        rounds = _with(own, temporal)
        bets = []
        for _ in range(3):
            other = await take_seat(own, operator_id=seat.session.operator_id, balance=100)
            bets.append(other.bet())
            await other.reserve(bets[-1])
        for bet in bets[:2]:
            await _start(temporal, bet)
        await temporal.get_workflow_handle(bets[1].key.workflow_id).terminate("by a test")
        found = await rounds.stuck(seat.session.operator_id, older_than=AT_ONCE, limit=20)
        waits = {one.round_id: one.waits_for for one in found.stuck if one.kind is Kind.ROUND}
        assert waits[bets[0].key.round_id].startswith("the workflow waits for a worker since ")
        assert waits[bets[1].key.round_id].startswith(
            "Its workflow is terminated: reconciliation restarts it"
        )
        assert waits[bets[2].key.round_id].startswith("Temporal has no workflow of it: ")
        await temporal.get_workflow_handle(bets[0].key.workflow_id).terminate("done with")

    async def test_knows_bets_that_nobody_else_knows(
        self, own: Database, seat: Seat, temporal: Client
    ) -> None:
        rounds, bet = _with(own, temporal), seat.bet()
        await _start(temporal, bet)

        async def listed() -> list[Stuck]:
            """Temporal's list comes after the start."""
            report = await rounds.stuck(seat.session.operator_id, older_than=AT_ONCE, limit=20)
            return [one for one in report.stuck if one.kind is Kind.WORKFLOW]

        (found,) = await until(listed)
        assert found.round_id == bet.key.round_id
        assert found.waits_for.startswith("the workflow waits for a worker since ")
        await temporal.get_workflow_handle(bet.key.workflow_id).terminate("done with")

    async def test_is_asked_about_so_many_and_no_more(
        self, own: Database, temporal: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(overdue, "DESCRIBED", 1)
        operator_id = f"few-{uuid4().hex[:8]}"
        for _ in range(2):
            each = await take_seat(own, operator_id=operator_id, balance=100)
            await each.reserve(each.bet())
        found = await _with(own, temporal).stuck(operator_id, older_than=AT_ONCE, limit=20)
        waits = [one.waits_for for one in found.stuck if one.kind is Kind.ROUND]
        assert [each.startswith("Temporal has no workflow") for each in waits] == [True, False]
        assert found.unasked == ["Temporal was asked about the first 1 rounds"]


def _with(own: Database, temporal: Client) -> Rounds:
    async def connect() -> Client:
        return temporal

    return Rounds(Sources(own.pool, connect))


async def _start(temporal: Client, bet: Bet) -> None:
    await temporal.start_workflow(ROUND_WORKFLOW, bet, id=bet.key.workflow_id, task_queue=NO_WORKER)


class TestReconciliation:
    @pytest.fixture(autouse=True)
    def schedule_id(self, monkeypatch: pytest.MonkeyPatch) -> str:
        """Another than the platform's."""
        name = f"reconcile-{uuid4().hex}"
        monkeypatch.setattr(services, "RECONCILE_SCHEDULE", name)
        return name

    async def test_that_was_never_set_up(self, own: Database, temporal: Client) -> None:
        assert "no reconciler was ever started" in (await _reconciliation(own, temporal)).why

    async def test_that_is_paused(self, own: Database, temporal: Client, schedule_id: str) -> None:
        async with _schedule(temporal, schedule_id, paused=True):
            found = await _reconciliation(own, temporal)
            assert found.why == "Nothing is reconciled: its Schedule is paused."
            assert "--unpause" in found.next

    async def test_that_has_not_run_for_long(
        self, own: Database, temporal: Client, schedule_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(services, "RUNS_WITHIN", timedelta(seconds=-1))
        async with _schedule(temporal, schedule_id, paused=False):
            assert "the last run began at" in (await _reconciliation(own, temporal)).why

    async def test_whose_run_does_not_end(self, own: Database, temporal: Client, schedule_id: str) -> None:
        async with _schedule(temporal, schedule_id, paused=False):
            await temporal.get_schedule_handle(schedule_id).trigger()

            async def named() -> bool:
                report = await _with(own, temporal).stuck(EVERY_OPERATOR, older_than=timedelta(0), limit=1)
                return any("does not end" in one.why for one in report.stuck)

            await until(named)
            report = await _with(own, temporal).stuck(EVERY_OPERATOR, limit=1)
            assert [one for one in report.stuck if one.kind is Kind.RECONCILIATION] == []
            await temporal.get_workflow_handle(await _run_of(temporal, schedule_id)).terminate()

    async def test_that_runs_is_not_spoken_of(
        self, own: Database, temporal: Client, schedule_id: str
    ) -> None:
        async with _schedule(temporal, schedule_id, paused=False):
            report = await _with(own, temporal).stuck(EVERY_OPERATOR, limit=1)
        assert [one for one in report.stuck if one.kind is Kind.RECONCILIATION] == []


async def _reconciliation(own: Database, temporal: Client) -> Stuck:
    report = await _with(own, temporal).stuck(EVERY_OPERATOR, limit=1)
    (found,) = [one for one in report.stuck if one.kind is Kind.RECONCILIATION]
    return found


async def _run_of(temporal: Client, schedule_id: str) -> str:
    found = await temporal.get_schedule_handle(schedule_id).describe()
    (running,) = found.info.running_actions
    assert isinstance(running, ScheduleActionExecutionStartWorkflow)
    return running.workflow_id


@asynccontextmanager
async def _schedule(temporal: Client, name: str, *, paused: bool) -> AsyncIterator[None]:
    """One that never comes to a run of its own."""
    wanted = Schedule(
        action=ScheduleActionStartWorkflow("Nothing", id=f"{name}-run", task_queue=NO_WORKER),
        spec=ScheduleSpec(),
        state=ScheduleState(paused=paused),
    )
    handle = await temporal.create_schedule(name, wanted)
    try:
        yield
    finally:
        await handle.delete()


class TestTheBroker:
    async def test_that_is_away(self, own: Database) -> None:
        rounds = Rounds(Sources(own.pool, nowhere, "amqp://a:b@127.0.0.1:1/"))  # type: ignore[arg-type]
        report = await rounds.stuck(EVERY_OPERATOR, limit=1)
        assert [one.subject for one in report.stuck[:2]] == ["RabbitMQ", "Temporal"]

    async def test_tells_of_dead_letters_and_of_queues_that_nobody_consumes(
        self, amqp_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = [f"stuck-{uuid4().hex}" for _ in range(3)]
        dead, unconsumed, missing = names
        monkeypatch.setattr(services, "DEAD", (missing, dead))
        monkeypatch.setattr(services, "CONSUMED", {unconsumed: "a program", missing: "another"})
        connection = await broker.connect(amqp_url, name="a test")
        try:
            channel = await connection.channel()
            for name in (dead, unconsumed):
                await channel.declare_queue(name)
            assert await services.queues(amqp_url) == []
            for name in (dead, unconsumed):
                await channel.default_exchange.publish(aio_pika.Message(b"x"), name)
            found = await services.queues(amqp_url)
            queue = await channel.get_queue(unconsumed)
            await queue.consume(_keep)
            consumed = await services.queues(amqp_url)
        finally:
            for name in (dead, unconsumed):
                await channel.queue_delete(name)
            await connection.close()
        assert [(one.subject, one.why) for one in found] == [
            (dead, "1 messages could not be used, and are dead letters."),
            (unconsumed, "1 messages wait, and nobody consumes them."),
        ]
        assert [one.subject for one in consumed] == [dead]


async def _keep(_: object) -> None:
    await asyncio.sleep(0)


class TestNow:
    async def test_counts_what_is_open_by_state_money_and_currency(
        self, own: Database, rounds: Rounds
    ) -> None:
        operator_id = f"now-{uuid4().hex[:8]}"
        for currency, mode in (("EUR", REAL), ("EUR", REAL), ("USD", REAL), ("EUR", DEMO)):
            each = await take_seat(
                own,
                operator_id=operator_id,
                currency=currency,
                mode=mode,
                balance=0 if mode == DEMO else 1_000,
            )
            await each.reserve(each.bet(stake=300))
        at_wallet = WalletSeat(await take_seat(own, operator_id=operator_id))
        await at_wallet.begin(at_wallet.bet())
        found = await rounds.now(operator_id)
        assert [
            (each.state, each.demo, each.currency, each.age, each.rounds, each.amount) for each in found
        ] == [
            ("asked", False, "EUR", 0, 1, 100),
            ("pending", False, "EUR", 0, 2, 600),
            ("pending", False, "USD", 0, 1, 300),
            ("pending", True, "EUR", 0, 1, 300),
        ]
