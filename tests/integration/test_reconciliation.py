"""Reconciliation against the real services: what was lost is brought to its end, once, and what is healthy is
left alone. On a database and in a Temporal namespace of its own, for it looks at everything there is."""

import asyncio
import dataclasses
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from pydantic import SecretStr
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.reconciliation import EventLooks, IncidentSteps, Patience, RoundLooks
from activities.statements import StatementLooks
from api.bet.result_waiter import ResultWaiter
from api.bet.service import BetService
from api.result.service import ResultService
from api.session.service import SessionService
from cli.operator import wallet as command
from cli.reconciliation import incidents as commands
from contracts.reconciliation import Incident, IncidentKind, Page, WorkflowState
from contracts.rounds import Bet, RoundState
from contracts.steps import ROUND_WORKFLOW
from contracts.wallet import WalletAnswer, WalletCall, WalletRequest, WalletVerdict
from events import topology
from events.broker import LinkLost
from events.catalogue import RoundEvent
from events.consumer import Consumer
from events.publisher import Publisher
from events.topology import ConsumerQueue
from games.registry import Registry
from outbound.client import tls_context
from runtime.resources import Resources, connect_temporal, open_resources
from runtime.round_workflows import RoundWorkflows
from runtime.settings import Settings
from security.keyring import Keyring
from security.seeds import SeedVault
from security.signatures import SignatureVerifier, Signer
from security.tokens import TokenIssuer
from storage import incidents, operator_wallets, operators, outbox, rounds
from storage import reconciliation as stored
from storage.database import open_database
from tests.conftest import Services
from tests.integration.events_on_broker import channel_to
from tests.integration.test_operator_rounds import (
    OPENING,
    PATIENCE_S,
    SERVER_ERRORS,
    STAKE,
    TOTAL_MS,
    Casino,
    Player,
)
from tests.support.conditions import HANG_S, until
from tests.support.databases import migrated_database
from tests.support.ledger import Seat
from tests.support.operator_wallet import RunningWallet, running_wallet
from wallet import dialect
from wallet.directory import WalletVault
from wallet.operator import transaction_id
from workers import reconciler, round_worker, statistics, wallets

AT_ONCE: Final = Patience(
    open=timedelta(0), applied=timedelta(0), visible=timedelta(0), recorded=timedelta(0)
)
NO_WORKER: Final = "nobody-works-here"


@dataclass(frozen=True, slots=True)
class Floor:
    """A casino whose rounds a worker plays, and reconciliation beside it."""

    casino: Casino
    resources: Resources
    workflows: RoundWorkflows
    own_operator: str  # whose players' money our ledger keeps

    @property
    def pool(self) -> Any:
        return self.casino.database.pool

    def rounds(self, workflows: Any = None, patience: Patience = AT_ONCE) -> RoundLooks:
        return RoundLooks(self.pool, workflows or self.workflows, patience)

    def statements(self) -> StatementLooks:
        vault = WalletVault(self.resources.keyring)
        return StatementLooks(self.pool, vault, dialect.load(), functools.cache(tls_context), AT_ONCE)

    def keeper(self) -> IncidentSteps:
        looks = self.rounds()
        kinds = (IncidentKind.WORKFLOW_LOST, IncidentKind.WORKFLOW_FAILED, IncidentKind.STUCK)
        return IncidentSteps(
            self.pool,
            self.resources.publisher,
            {
                **dict.fromkeys(kinds, looks.review),
                IncidentKind.EVENT_MISSING: self.events(nothing_waits).review,
                IncidentKind.WALLET_DIFFERS: self.statements().review,
            },
        )

    def events(self, waiting: Callable[[], Awaitable[int]], publisher: Any = None) -> EventLooks:
        return EventLooks(self.pool, publisher or self.resources.publisher, waiting, AT_ONCE)

    async def seat(self, balance: int = 1_000) -> Seat:
        """A player whose money is in our ledger."""
        session, _ = await self.casino.sessions.open(
            operator_id=self.own_operator,
            player_id=uuid4().hex,
            game_id="dice",
            currency="EUR",
            client_seed=None,
        )
        seat = Seat(self.casino.database, session)
        await seat.deposit(balance)
        return seat

    async def start_without_worker(self, bet: Bet) -> None:
        await self.casino.temporal.start_workflow(
            ROUND_WORKFLOW, bet, id=bet.key.workflow_id, task_queue=NO_WORKER
        )

    async def terminate(self, bet: Bet) -> None:
        await self.casino.temporal.get_workflow_handle(bet.key.workflow_id).terminate("by mistake")

    async def end_of(self, bet: Bet) -> RoundState:
        """The final state, once a workflow of the round has completed."""

        async def done() -> bool:
            view = await rounds.find(self.pool, bet.key)
            state = await self.workflows.state(bet.key.workflow_id)
            return view is not None and view.state.final and state is WorkflowState.COMPLETED

        await until(done)
        view = await rounds.find(self.pool, bet.key)
        assert view is not None
        return view.state

    async def incidents_of(self, subject: str) -> list[Incident]:
        found = await incidents.listed(self.pool, resolved_too=True, limit=1_000)
        return [incident for incident in found if subject in incident.finding.subject]

    async def resolve_all(self) -> None:
        await self.keeper().open_incidents(Page())


async def nothing_waits() -> int:
    return 0


@pytest.fixture(scope="module")
async def wallet() -> AsyncIterator[RunningWallet]:
    async with running_wallet() as running:
        yield running


@pytest.fixture(scope="module")
async def own_url(services: Services) -> AsyncIterator[str]:
    """A database where reconciliation finds the rounds of these tests alone."""
    async with migrated_database(services) as url:
        yield url


@pytest.fixture(scope="module")
async def floor(services: Services, own_url: str, wallet: RunningWallet) -> AsyncIterator[Floor]:
    settings = await _own_settings(services, own_url)
    own = await open_database(own_url, connections=10)
    with_wallet, without = f"op-{uuid4().hex[:12]}", f"op-{uuid4().hex[:12]}"
    for operator_id in (with_wallet, without):
        await operators.ensure_operator(own.pool, operator_id=operator_id, name="a test's")
    await command.store(settings, _wanted(with_wallet, wallet.url), (wallet.secret,))
    waiter, registry = ResultWaiter(), Registry.load(settings.games)
    async with open_resources(settings) as resources:
        client = await _connected(settings, resources.keyring)
        async with (
            wallets.opened(resources) as operators_wallets,
            round_worker.running(client, resources, registry, operators_wallets, waiter.deliver),
        ):
            vault, issuer = SeedVault(resources.keyring), TokenIssuer(resources.keyring)
            desk = BetService(
                RoundWorkflows(client, task_queue=settings.task_queue),
                ResultService(resources.database),
                waiter,
                patience_s=PATIENCE_S,
            )
            sessions = SessionService(resources.database.pool, vault, issuer, lifetime_s=3600)
            casino = Casino(with_wallet, settings, own, client, desk, sessions, wallet)
            workflows = RoundWorkflows(client, task_queue=settings.task_queue)
            yield Floor(casino, resources, workflows, without)
    await own.close()


async def _own_settings(services: Services, url: str) -> Settings:
    addresses = services.stack.addresses
    namespace = f"reconciliation-{uuid4().hex[:8]}"
    shared = await Client.connect(addresses.temporal_address)
    await shared.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=namespace, workflow_execution_retention_period=Duration(seconds=86_400)
        )
    )
    return services.settings.model_copy(
        update={
            "database_url": SecretStr(url),
            "amqp_url": SecretStr(addresses.amqp_url),
            "temporal_address": addresses.temporal_address,
            "temporal_namespace": namespace,
            "task_queue": f"rounds-{uuid4().hex[:8]}",
        }
    )


async def _connected(settings: Settings, keyring: Keyring) -> Client:
    """Once the new namespace is known to all of Temporal."""

    async def known() -> Client | None:
        client = await connect_temporal(settings, keyring)
        try:
            await client.count_workflows()
            await client.get_workflow_handle("nothing").describe()
        except RPCError as error:
            return client if "workflow" in str(error).lower() else None
        return client

    found = await until(known)
    assert found is not None
    return found


def _wanted(operator_id: str, url: str) -> command.Wanted:
    return command.Wanted(
        operator_id=operator_id,
        url=url,
        dialect="croupier",
        local=True,
        connect_ms=None,
        read_ms=None,
        total_ms=TOTAL_MS,
        calls=None,
    )


@pytest.fixture
async def player(floor: Floor) -> AsyncIterator[Player]:
    await floor.casino.wallet.set_faults()
    yield await floor.casino.seat()
    await floor.casino.wallet.clear_faults()


async def test_a_settling_round_whose_workflow_was_terminated_is_driven_on(
    floor: Floor, player: Player
) -> None:
    bet = player.bet()
    fault = {"kind": "error-before", "call": "win"}
    await floor.casino.wallet.set_faults(script=[fault] * SERVER_ERRORS)
    told = await player.play(bet)
    assert told is not None
    assert told.state is RoundState.SETTLING
    await floor.casino.wallet.until_fired("error-before")
    await floor.terminate(bet)
    await floor.casino.wallet.clear_faults()

    looked = await floor.rounds().open_rounds(Page())
    assert (looked.opened, looked.driven_on) == (1, 1)
    view = await player.end_of(bet)
    assert (view.state, view.win) == (RoundState.SETTLED, told.win)
    await player.assert_square(view)

    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert incident.finding.kind is IncidentKind.WORKFLOW_LOST
    assert incident.finding.detail == {"state": "settling", "workflow": "terminated"}
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert incident.resolved_at is not None


async def test_a_round_of_our_own_ledger_whose_workflow_was_terminated_is_driven_on(floor: Floor) -> None:
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)
    await floor.start_without_worker(bet)
    await floor.terminate(bet)
    assert (await floor.rounds().open_rounds(Page())).driven_on == 1
    assert await floor.end_of(bet) is RoundState.SETTLED
    balance, held = await seat.money()
    view = await rounds.find(floor.pool, bet.key)
    assert view is not None
    assert (balance, held) == (1_000 - STAKE + view.win, 0)
    await floor.resolve_all()


async def test_a_round_that_temporal_forgot_is_driven_on(floor: Floor) -> None:
    """As after Temporal was restored from an older copy: the round is there, and no workflow of its id."""
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)
    assert await floor.workflows.state(bet.key.workflow_id) is WorkflowState.FORGOTTEN
    assert (await floor.rounds().open_rounds(Page())).driven_on == 1
    assert await floor.end_of(bet) is RoundState.SETTLED
    assert len(await seat.events()) == 1
    await floor.resolve_all()


async def test_a_bet_whose_answer_nobody_knows_and_whose_workflow_is_lost_is_driven_on(
    floor: Floor, player: Player
) -> None:
    """There is no round yet, only the bet that the wallet was asked for."""
    bet = player.bet()
    await operator_wallets.begin_bet(floor.pool, bet, transaction_id(bet.key, WalletCall.BET))
    assert (await floor.rounds().open_rounds(Page())).looked_at == 0
    looked = await floor.rounds().unanswered_bets(Page())
    assert (looked.opened, looked.driven_on) == (1, 1)
    view = await player.end_of(bet)
    assert view.state is RoundState.SETTLED
    await player.assert_square(view)
    assert (await floor.rounds().unanswered_bets(Page())).looked_at == 0
    await floor.resolve_all()


async def test_a_round_that_is_slow_and_healthy_is_left_alone(floor: Floor) -> None:
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)
    await floor.start_without_worker(bet)
    looked = await floor.rounds().open_rounds(Page())
    assert (looked.looked_at, looked.opened, looked.driven_on) == (1, 0, 0)
    assert await floor.incidents_of(bet.key.workflow_id) == []
    await _give_up(floor, seat, bet)


async def test_a_round_whose_workflow_comes_to_run_while_we_look_is_not_started_twice(floor: Floor) -> None:
    """The interleaving: Temporal said that nothing runs, and then the player's repeat started the round."""
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)

    async def meanwhile() -> WorkflowState:
        await floor.start_without_worker(bet)
        return WorkflowState.FORGOTTEN

    looked = await floor.rounds(_Meanwhile(floor.workflows, meanwhile)).open_rounds(Page())
    assert looked.driven_on == 0
    handle = floor.casino.temporal.get_workflow_handle(bet.key.workflow_id)
    assert (await handle.describe()).task_queue == NO_WORKER, "the run of the player's repeat stands"
    await _give_up(floor, seat, bet)


async def test_a_round_that_closes_while_we_look_is_no_incident(floor: Floor) -> None:
    """The interleaving: it was open when we read it, and its workflow had ended when we asked for it."""
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)

    async def meanwhile() -> WorkflowState:
        await seat.settle(bet, 0)
        return WorkflowState.COMPLETED

    looked = await floor.rounds(_Meanwhile(floor.workflows, meanwhile)).open_rounds(Page())
    assert (looked.looked_at, looked.opened, looked.driven_on) == (1, 0, 0)
    assert await floor.workflows.state(bet.key.workflow_id) is WorkflowState.FORGOTTEN


async def test_reconcilers_at_once_find_one_incident_and_settle_once(floor: Floor) -> None:
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)
    looked = await asyncio.gather(*(floor.rounds().open_rounds(Page()) for _ in range(4)))
    assert sum(one.opened for one in looked) == 1
    assert sum(one.driven_on for one in looked) == 1
    assert await floor.end_of(bet) is RoundState.SETTLED
    assert len(await floor.incidents_of(bet.key.workflow_id)) == 1
    assert len(await seat.events()) == 1
    await floor.resolve_all()


async def test_a_round_that_cannot_be_driven_on_is_not_started_each_time(floor: Floor) -> None:
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)
    stubborn = _Stubborn()
    for _ in range(3):
        await floor.rounds(stubborn).open_rounds(Page())
    assert stubborn.started == [bet]
    assert len(await floor.incidents_of(bet.key.workflow_id)) == 1
    await _give_up(floor, seat, bet)


async def test_a_round_that_is_open_for_too_long_is_stuck_until_it_closes(floor: Floor) -> None:
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)
    await floor.start_without_worker(bet)
    impatient = floor.rounds(patience=dataclasses.replace(AT_ONCE, stuck=timedelta(0)))
    looked = [await impatient.open_rounds(Page()) for _ in range(2)]
    assert [one.opened for one in looked] == [1, 0]
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert (incident.finding.kind, incident.resolved_at) == (IncidentKind.STUCK, None)
    await _give_up(floor, seat, bet)
    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert incident.resolved_at is not None


async def test_a_terminated_workflow_is_found_before_its_round_is_late(floor: Floor) -> None:
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)
    await floor.start_without_worker(bet)
    await floor.terminate(bet)
    patient = floor.rounds(patience=dataclasses.replace(AT_ONCE, open=timedelta(hours=1)))
    assert (await patient.open_rounds(Page())).looked_at == 0
    driven = 0

    async def found() -> bool:
        nonlocal driven
        driven += (await patient.closed_workflows(Page())).driven_on
        return bool(await floor.incidents_of(bet.key.workflow_id))

    await until(found)
    assert driven == 1
    assert await floor.end_of(bet) is RoundState.SETTLED
    await floor.resolve_all()


async def test_a_failed_workflow_of_a_closed_round_is_an_incident_until_one_completes(floor: Floor) -> None:
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)
    await seat.settle(bet, 0)

    async def failed() -> WorkflowState:
        return WorkflowState.FAILED

    looks = floor.rounds(_Meanwhile(floor.workflows, failed))
    looked = await looks._examine_listed(bet.key.workflow_id)
    assert (looked.opened, looked.driven_on) == (1, 1)
    assert await floor.end_of(bet) is RoundState.SETTLED
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert incident.finding.kind is IncidentKind.WORKFLOW_FAILED
    assert incident.resolved_at is not None


def _wager(seat: Seat) -> Bet:
    return seat.bet(choice={"direction": "over", "target": 4_999})


async def _give_up(floor: Floor, seat: Seat, bet: Bet) -> None:
    """Ends what the test left open."""
    await seat.release(bet)
    try:
        await floor.terminate(bet)
    except RPCError:
        assert await floor.workflows.state(bet.key.workflow_id) is not WorkflowState.RUNNING
    await floor.resolve_all()


class _Meanwhile:
    """Does something between our reading of a round and Temporal's answer."""

    def __init__(self, workflows: RoundWorkflows, meanwhile: Callable[[], Awaitable[WorkflowState]]) -> None:
        self._workflows = workflows
        self._meanwhile = meanwhile

    async def state(self, workflow_id: str) -> WorkflowState:
        return await self._meanwhile()

    async def restart(self, bet: Bet) -> bool:
        return await self._workflows.restart(bet)


class _Refusing:
    """A Temporal that refuses whatever is about one round."""

    def __init__(self, workflows: RoundWorkflows, refused: Bet) -> None:
        self._workflows = workflows
        self._refused = refused

    async def state(self, workflow_id: str) -> WorkflowState:
        if workflow_id == self._refused.key.workflow_id:
            raise RPCError("refused", RPCStatusCode.INVALID_ARGUMENT, b"")
        return await self._workflows.state(workflow_id)

    async def restart(self, bet: Bet) -> bool:
        return await self._workflows.restart(bet)


class _Stubborn:
    """A Temporal in which every workflow of the round ends at once."""

    def __init__(self) -> None:
        self.started: list[Bet] = []

    async def state(self, workflow_id: str) -> WorkflowState:
        return WorkflowState.TERMINATED

    async def restart(self, bet: Bet) -> bool:
        self.started.append(bet)
        return True


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
            handler=lambda events: statistics._apply(self.floor.pool, events),
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
    bet = _wager(seat)
    await seat.reserve(bet)
    view = await seat.settle(bet, 0)
    assert view.event_id is not None
    found = await outbox.find(floor.pool, view.event_id)
    assert found is not None
    await floor.resources.publisher.publish(found[0], timeout_seconds=HANG_S)
    await outbox.mark_published(floor.pool, [view.event_id])
    return view.event_id


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
    bet = _wager(seat)
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


async def test_an_incident_is_told_once_with_its_own_id(floor: Floor, amqp_url: str) -> None:
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)
    queue = ConsumerQueue(
        name=f"test-{uuid4().hex[:8]}", bindings=(f"{floor.own_operator}.dice.incident.opened",)
    )
    async with channel_to(amqp_url) as channel:
        await floor.keeper().announce(Page())
        await topology.declare(channel, queue, timeout_seconds=HANG_S)
        await floor.rounds(_Stubborn()).open_rounds(Page())
        for _ in range(2):
            assert (await floor.keeper().announce(Page())).problems == ()
        (incident,) = await floor.incidents_of(bet.key.workflow_id)
        declared = await channel.get_queue(queue.name)
        message = await declared.get(timeout=HANG_S)
        assert message is not None
        assert message.message_id == incident.incident_id
        assert await declared.get(fail=False) is None
        await channel.queue_delete(queue.name)
        await channel.queue_delete(queue.dead_name)
    await _give_up(floor, seat, bet)


async def test_incidents_wait_for_a_broker_that_is_away(floor: Floor) -> None:
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)
    await floor.keeper().announce(Page())
    await floor.rounds(_Stubborn()).open_rounds(Page())
    nowhere = Publisher("amqp://guest:guest@127.0.0.1:9/", Signer(floor.resources.keyring.events))
    nowhere.start()
    looked = await IncidentSteps(floor.pool, nowhere, {}).announce(Page())
    await nowhere.close()
    assert len(looked.problems) == 1
    assert len(await incidents.unpublished(floor.pool, limit=10)) == 1
    assert (await floor.keeper().announce(Page())).problems == ()
    assert await incidents.unpublished(floor.pool, limit=10) == []
    await _give_up(floor, seat, bet)


async def test_a_round_that_temporal_refuses_does_not_hold_up_the_others(floor: Floor) -> None:
    seats = [await floor.seat() for _ in range(2)]
    bets = [_wager(seat) for seat in seats]
    for seat, bet in zip(seats, bets, strict=True):
        await seat.reserve(bet)
    looked = await floor.rounds(_Refusing(floor.workflows, bets[0])).open_rounds(Page())
    assert (looked.driven_on, len(looked.problems)) == (1, 1)
    assert bets[0].key.workflow_id in looked.problems[0]
    assert await floor.end_of(bets[1]) is RoundState.SETTLED
    await _give_up(floor, seats[0], bets[0])


async def test_wallet_and_ledger_that_agree_are_no_incident(floor: Floor, player: Player) -> None:
    for _ in range(3):
        view = await player.play(player.bet())
        assert view is not None
        assert view.state is RoundState.SETTLED
    looked = await _compare(floor)
    assert looked.looked_at >= 6
    assert (looked.opened, looked.problems) == (0, ())


async def test_what_the_wallet_took_unasked_is_one_incident_however_often_it_is_seen(
    floor: Floor, player: Player
) -> None:
    await _compare(floor)
    stranger = _body(floor, player, transaction_id=str(uuid4()))
    assert (await floor.casino.wallet.call("bet", stranger)).status_code == 200
    looked = [await _compare(floor) for _ in range(3)]
    assert sum(one.opened for one in looked) == 1
    (incident,) = await floor.incidents_of(stranger["transaction_id"])
    assert incident.finding.kind is IncidentKind.WALLET_DIFFERS
    assert incident.finding.detail["wallet"] == {"call": "bet", "moved": -STAKE, "currency": "EUR"}
    assert incident.finding.detail["ledger"] is None
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(stranger["transaction_id"])
    assert incident.resolved_at is None, "the wallet still has it"


async def test_another_amount_at_the_wallet_is_an_incident_with_both_figures(
    floor: Floor, player: Player
) -> None:
    bet = player.bet()
    bet_id = transaction_id(bet.key, WalletCall.BET)
    await operator_wallets.begin_bet(floor.pool, bet, bet_id)
    body = _body(floor, player, transaction_id=bet_id, round_id=bet.key.round_id, amount=STAKE + 1)
    assert (await floor.casino.wallet.call("bet", body)).status_code == 200
    assert (await _compare(floor)).opened == 1
    (incident,) = await floor.incidents_of(bet_id)
    assert incident.finding.detail["wallet"]["moved"] == -STAKE - 1
    assert incident.finding.detail["ledger"]["moved"] == [-STAKE]
    why = {"failure_code": "round-cancelled", "failure_detail": ""}
    await operator_wallets.begin_release(floor.pool, bet, **why)
    await operator_wallets.release(floor.pool, bet, balance=None, **why)


async def test_what_the_wallet_accepted_and_does_not_show_resolves_when_it_shows_it(
    floor: Floor, player: Player
) -> None:
    bet = player.bet()
    bet_id = transaction_id(bet.key, WalletCall.BET)
    await operator_wallets.begin_bet(floor.pool, bet, bet_id)
    request = WalletRequest(
        call=WalletCall.BET,
        operator_id=bet.key.operator_id,
        player_id=bet.player_id,
        session_id=bet.session_id,
        currency="EUR",
        transaction_id=bet_id,
        amount=STAKE,
    )
    accepted = WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=OPENING - STAKE)
    await operator_wallets.record_attempt(floor.pool, bet.key, request, accepted, took_us=1)
    looked = [await _compare(floor) for _ in range(2)]
    assert [one.opened for one in looked] == [1, 0]
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(bet_id)
    assert incident.resolved_at is None

    body = _body(floor, player, transaction_id=bet_id, round_id=bet.key.round_id)
    assert (await floor.casino.wallet.call("bet", body)).status_code == 200
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(bet_id)
    assert incident.resolved_at is not None
    assert (await floor.rounds().unanswered_bets(Page())).driven_on == 1
    view = await player.end_of(bet)
    await player.assert_square(view)
    await floor.resolve_all()


async def test_a_wallet_that_is_away_fails_softly_and_the_next_run_sees_what_it_missed(
    floor: Floor, player: Player
) -> None:
    await _compare(floor)
    stranger = _body(floor, player, transaction_id=str(uuid4()))
    assert (await floor.casino.wallet.call("bet", stranger)).status_code == 200
    await floor.casino.wallet.stop()
    looked = await _compare(floor)
    assert len(looked.problems) == 1
    assert floor.casino.operator_id in looked.problems[0]
    assert await floor.incidents_of(stranger["transaction_id"]) == []
    await floor.casino.wallet.start()
    assert (await _compare(floor)).opened == 1


async def test_a_scheduled_run_mends_and_tells_and_the_commands_show_it(
    floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    client, settings = floor.casino.temporal, floor.casino.settings
    seat = await floor.seat()
    bet = _wager(seat)
    await seat.reserve(bet)
    await reconciler.ensure_schedule(client, 3_600)
    await reconciler.ensure_schedule(client, 7_200)
    schedule = await client.get_schedule_handle("croupier-reconcile").describe()
    assert [interval.every for interval in schedule.schedule.spec.intervals] == [timedelta(seconds=7_200)]
    async with reconciler.running(client, floor.resources, AT_ONCE):
        done = await commands.run_now(client)
        # More than this one, when other tests left some, or when its event is not out yet at the next look.
        assert done.opened >= 1
        assert done.driven_on >= 1
        assert done.problems == ()
        assert await floor.end_of(bet) is RoundState.SETTLED
        await asyncio.gather(commands.run_now(client), commands.run_now(client))
    (incident,) = await floor.incidents_of(bet.key.workflow_id)
    assert incident.finding.kind is IncidentKind.WORKFLOW_LOST
    assert incident.resolved_at is not None
    assert await incidents.unpublished(floor.pool, limit=1) == []

    open_ones = sum((await incidents.open_counts(floor.pool)).values())
    shown = await asyncio.to_thread(commands.show, settings, resolved_too=True, as_json=True)
    assert shown == (1 if open_ones else 0)
    assert bet.key.workflow_id in capsys.readouterr().out
    shown = await asyncio.to_thread(commands.show, settings, resolved_too=False, as_json=False)
    assert shown == (1 if open_ones else 0)
    assert bet.key.workflow_id not in capsys.readouterr().out


async def _compare(floor: Floor) -> Any:
    return await floor.statements().statements(Page())


def _body(floor: Floor, player: Player, **fields: Any) -> dict[str, Any]:
    return {
        "operator_id": floor.casino.operator_id,
        "player_id": player.player_id,
        "session_id": player.session_id,
        "currency": "EUR",
        "round_id": uuid4().hex,
        "game_id": "dice",
        "amount": STAKE,
        **fields,
    }
