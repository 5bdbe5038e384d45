"""A casino whose rounds a worker plays and reconciliation looks after, and Temporals that misbehave."""

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from temporalio.service import RPCError, RPCStatusCode

from activities.incidents import IncidentSteps
from activities.reconciliation import EventChecks, Patience, RoundChecks
from activities.statements import StatementChecks
from contracts.reconciliation import Incident, IncidentKind, Page, WorkflowState
from contracts.rounds import Bet, RoundState
from contracts.steps import ROUND_WORKFLOW
from outbound.client import tls_context
from runtime.resources import Resources
from runtime.round_workflows import RoundWorkflows
from storage import incidents, rounds
from tests.integration.wallet.casino import Casino
from tests.support.conditions import until
from tests.support.ledger import Seat
from wallet import dialect
from wallet.directory import WalletVault

AT_ONCE: Final = Patience(
    open=timedelta(0), applied=timedelta(0), visible=timedelta(0), recorded=timedelta(0)
)
NO_WORKER: Final = "nobody-works-here"


@dataclass(frozen=True, slots=True)
class Floor:
    """A casino whose rounds a worker plays, and reconciliation beside it."""

    casino: Casino
    own_operator: str  # whose players' money our ledger keeps

    @property
    def pool(self) -> Any:
        return self.casino.database.pool

    @property
    def resources(self) -> Resources:
        return self.casino.resources

    @property
    def workflows(self) -> RoundWorkflows:
        return self.casino.workflows

    def rounds(self, workflows: Any = None, patience: Patience = AT_ONCE) -> RoundChecks:
        return RoundChecks(self.pool, workflows or self.workflows, patience)

    def statements(self) -> StatementChecks:
        vault = WalletVault(self.resources.keyring)
        return StatementChecks(self.pool, vault, dialect.load(), functools.cache(tls_context), AT_ONCE)

    def incident_steps(self) -> IncidentSteps:
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

    def events(self, waiting: Callable[[], Awaitable[int]], publisher: Any = None) -> EventChecks:
        return EventChecks(self.pool, publisher or self.resources.publisher, waiting, AT_ONCE)

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

    async def listed_as_ended(self, bet: Bet) -> None:
        """Waits until Temporal's lists show how its workflow ended, which they do a moment later."""

        async def listed() -> bool:
            now = datetime.now(UTC)
            found, _ = await self.workflows.ended_badly(since=now - timedelta(days=1), until=now, cursor=None)
            return bet.key.workflow_id in found

        await until(listed)

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
        await self.incident_steps().open_incidents(Page())


async def nothing_waits() -> int:
    return 0


def wager(seat: Seat) -> Bet:
    return seat.bet(choice={"direction": "over", "target": 4_999})


async def give_up(floor: Floor, seat: Seat, bet: Bet) -> None:
    """Ends what the test left open."""
    await seat.release(bet)
    try:
        await floor.terminate(bet)
    except RPCError:
        assert await floor.workflows.state(bet.key.workflow_id) is not WorkflowState.RUNNING
    await floor.resolve_all()


class Meanwhile:
    """Does something between our reading of a round and Temporal's answer."""

    def __init__(self, workflows: RoundWorkflows, meanwhile: Callable[[], Awaitable[WorkflowState]]) -> None:
        self._workflows = workflows
        self._meanwhile = meanwhile

    async def state(self, workflow_id: str) -> WorkflowState:
        return await self._meanwhile()

    async def restart(self, bet: Bet) -> bool:
        return await self._workflows.restart(bet)


class Refusing:
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


class Stubborn:
    """A Temporal in which every workflow of the round ends at once."""

    def __init__(self) -> None:
        self.started: list[Bet] = []

    async def state(self, workflow_id: str) -> WorkflowState:
        return WorkflowState.TERMINATED

    async def restart(self, bet: Bet) -> bool:
        self.started.append(bet)
        return True
