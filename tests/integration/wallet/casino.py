"""A casino at an operator's wallet: the real worker, Temporal and ledger, and the players who bet there."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import uuid4

import pytest
from pydantic import SecretStr
from temporalio.client import Client, WorkflowExecutionStatus

from activities import money
from api.bet.elsewhere import Elsewhere, NoPushes
from api.bet.result_waiter import ResultWaiter
from api.bet.service import BetService
from api.result.service import ResultService
from api.session.service import SessionService
from contracts.rounds import Bet, RoundKey, RoundState
from contracts.views import RoundView
from contracts.wallet import WalletCall
from games.registry import Registry
from runtime import round_workflows
from runtime.resources import Resources, open_resources
from runtime.round_start import RoundStart
from runtime.round_workflows import RoundWorkflows
from runtime.settings import Settings
from runtime.temporal import connect_temporal
from security.keyring import Keyring
from security.seeds import SeedVault
from security.tokens import TokenIssuer
from storage import operators, rounds
from storage.database import Database
from tests.conftest import Services
from tests.support.conditions import HANG_S, until
from tests.support.ledger import assert_hold
from tests.support.operator_wallet import RunningWallet
from tests.support.wallet_settings import set_wallet
from verification.invariants.events import ONE_EVENT
from verification.invariants.guards import NONCES_USED_ONCE
from verification.invariants.money import BALANCES_ARE_POSTINGS, HOLDS_ARE_OPEN_STAKES
from verification.invariants.rounds import (
    ONE_TERMINAL,
    ROUNDS_ARE_COMPLETE,
    WALLET_ACTIONS_AGREE,
    WALLET_BETS_ARE_RESOLVED,
    WALLETS_ARE_SQUARE,
)
from workers import round_worker, wallets
from workflows import policies

Connect = Callable[[Settings, Keyring], Awaitable[Client]]

OPENING: Final = 10_000
STAKE: Final = 100
CHOICE: Final = {"direction": "over", "target": 4_999}
PATIENCE_S: Final = HANG_S
# So that what is never answered is soon unknown, before a round's fast path is given up; and long enough that
# what is answered is not, when the machine pauses for a second or two.
TOTAL_MS: Final = 3_000
SERVER_ERRORS: Final = 200  # more than there are attempts
MONEY: Final = (
    BALANCES_ARE_POSTINGS,
    HOLDS_ARE_OPEN_STAKES,
    ONE_TERMINAL,
    WALLETS_ARE_SQUARE,
    WALLET_BETS_ARE_RESOLVED,
    WALLET_ACTIONS_AGREE,
    ROUNDS_ARE_COMPLETE,
    ONE_EVENT,
    NONCES_USED_ONCE,
)


@dataclass(frozen=True, slots=True)
class Casino:
    """An operator with a wallet of its own, and a worker that plays its rounds."""

    operator_id: str
    settings: Settings
    database: Database
    temporal: Client
    resources: Resources
    workflows: RoundWorkflows
    bets: BetService
    sessions: SessionService
    wallet: RunningWallet

    async def seat(self, game_id: str = "dice") -> "Player":
        player_id = uuid4().hex
        self.wallet.book.open_player(self.operator_id, player_id, "EUR", OPENING)
        session, _ = await self.sessions.open(
            operator_id=self.operator_id,
            player_id=player_id,
            game_id=game_id,
            currency="EUR",
            client_seed=None,
        )
        return Player(self, player_id, session.player_key, session.account_id, session.session_id, game_id)


@dataclass(frozen=True, slots=True)
class Player:
    """A player whose money the operator's wallet keeps."""

    casino: Casino
    player_id: str
    player_key: int
    account_id: int
    session_id: str
    game_id: str

    def bet(self, *, stake: int = STAKE) -> Bet:
        return Bet(
            key=RoundKey(
                operator_id=self.casino.operator_id, player_key=self.player_key, round_id=uuid4().hex
            ),
            player_id=self.player_id,
            account_id=self.account_id,
            session_id=self.session_id,
            game_id=self.game_id,
            game_version="1.0.0",
            currency="EUR",
            stake=stake,
            mode="base",
            choice=CHOICE if self.game_id == "dice" else None,
            request_id=uuid4().hex,
        )

    async def play(self, bet: Bet) -> RoundView | None:
        """What a waiting client is told first."""
        return (await self.casino.bets.place(bet)).view

    async def end_of(self, bet: Bet) -> RoundView:
        """The round once it is closed and its workflow is done."""

        async def closed() -> bool:
            view = await rounds.find(self.casino.database.pool, bet.key)
            return view is not None and view.state.final

        async def completed() -> bool:
            handle = self.casino.temporal.get_workflow_handle(bet.key.workflow_id)
            return (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED

        await until(closed)
        await until(completed)
        view = await rounds.find(self.casino.database.pool, bet.key)
        assert view is not None
        return view

    @property
    def balance(self) -> int:
        """At the wallet, in minor units."""
        found = self.casino.wallet.book.player(self.casino.operator_id, self.player_id)
        assert found is not None
        return found.balance

    async def attempts(self, call: WalletCall) -> list[tuple[str, str | None]]:
        rows = await self.casino.database.pool.fetch(
            "SELECT verdict, code FROM wallet_attempts WHERE player_key = $1 AND call = $2 ORDER BY id",
            self.player_key,
            call.value,
        )
        return [(row["verdict"], row["code"]) for row in rows]

    async def assert_square(self, view: RoundView) -> None:
        """Both sides agree on what the player has, and nothing of it is open."""
        moved = view.win - view.staked if view.state is RoundState.SETTLED else 0
        assert self.balance == OPENING + moved
        mirror = await self.casino.database.pool.fetchrow(
            "SELECT balance, held FROM accounts WHERE id = $1", self.account_id
        )
        assert tuple(mirror) == (0, 0)
        async with self.casino.database.pool.acquire() as connection:
            await assert_hold(connection, MONEY, overdue_after_s=0)


def casino_settings(services: Services, database_url: str, namespace: str | None = None) -> Settings:
    """A database and a task queue of the casino's own, and the stack's namespace unless another is named."""
    addresses = services.stack.addresses
    return services.settings.model_copy(
        update={
            "database_url": SecretStr(database_url),
            "amqp_url": SecretStr(addresses.amqp_url),
            "temporal_address": addresses.temporal_address,
            "temporal_namespace": namespace or addresses.temporal_namespace,
            "task_queue": f"rounds-{uuid4().hex[:8]}",
        }
    )


async def new_operator(database: Database) -> str:
    operator_id = f"op-{uuid4().hex[:12]}"
    await operators.ensure_operator(database.pool, operator_id=operator_id, name="a test's")
    return operator_id


@contextmanager
def _patient() -> Iterator[None]:
    """A slow machine sends no round to the durable path, where it would ask the wallet again. The fast path
    ends well before four fifths of its task's time."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(policies, "FAST_PATH_LIMIT", timedelta(seconds=7))
        monkeypatch.setattr(money, "FAST_PATH_WALLETS_S", 6.0)
        monkeypatch.setattr(round_workflows, "ROUND_TASK_TIMEOUT", timedelta(seconds=10))
        yield


@asynccontextmanager
async def open_casino(
    settings: Settings,
    database: Database,
    wallet: RunningWallet,
    connect: Connect = connect_temporal,
    *,
    plays: bool = False,
) -> AsyncIterator[Casino]:
    """Everything as workers/serve.py puts it together, with a new operator. `database` is another connection
    to the database of the settings. What `plays` finds no database while that is not recovered."""
    operator_id = await new_operator(database)
    await set_wallet(settings, operator_id, wallet.url, wallet.secret, total_ms=TOTAL_MS)
    waiter, registry = ResultWaiter(), Registry.load(settings.games)
    with _patient():
        async with open_resources(settings, plays=plays) as resources:
            client = await connect(settings, resources.keyring)
            async with (
                wallets.opened(resources) as operators_wallets,
                round_worker.running(
                    client, resources, registry, operators_wallets, waiter.deliver, left=waiter.left
                ),
            ):
                begins = RoundStart(client, resources.keyring, resources.database.pool)
                workflows = RoundWorkflows(client, task_queue=settings.task_queue, begins=begins)
                results = ResultService(resources.database, workflows)
                elsewhere = Elsewhere(workflows, results, waiter, NoPushes())
                bets = BetService(workflows, results, waiter, elsewhere, patience_s=PATIENCE_S)
                vault, issuer = SeedVault(resources.keyring), TokenIssuer(resources.keyring)
                sessions = SessionService(resources.database.pool, vault, issuer, lifetime_s=3600)
                yield Casino(
                    operator_id, settings, database, client, resources, workflows, bets, sessions, wallet
                )
