"""A round whose connection to the database breaks at a statement, before it arrived or after its commit:
whichever it was, at both wallets, the round comes to the end that it would have had, and nothing moves twice.

The worker, the ledger, Temporal, the broker and the operator's wallet are real; only the pool that the steps
are given breaks, once for each round, at the statement that the test names.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr
from temporalio.client import Client

from activities import money
from api.session.service import SessionService
from contracts.rounds import Bet, RoundClosed, RoundState
from contracts.steps import ROUND_WORKFLOW
from contracts.views import RoundView
from contracts.wallet import WalletCall
from games.registry import Registry
from runtime.resources import open_resources
from security.keyring import Keyring
from security.seeds import SeedVault
from security.tokens import TokenIssuer
from storage import operator_wallets, operators, rounds
from storage.database import Database
from storage.operator_wallets import StoredWallet
from tests.conftest import Services
from tests.support.conditions import HANG_S
from tests.support.ledger import Seat
from tests.support.operator_wallet import RunningWallet, running_wallet
from wallet.directory import WalletVault
from wallet.operator import transaction_id
from workers import round_worker, wallets
from workflows import policies

BALANCE: Final = 10_000  # minor units
STAKE: Final = 100
NO_GAME_TAKES_IT: Final = {"direction": "sideways"}
OVER_HALF: Final = {"direction": "over", "target": 4_999}

OWN_SETTLED: Final = (rounds.RESERVE, rounds.SETTLE)
OWN_VOID: Final = (rounds.RESERVE, rounds.RESERVE, rounds.RELEASE)
OPERATORS_SETTLED: Final = (
    operator_wallets.BEGIN_BET,
    operator_wallets.RECORD_ATTEMPT,
    operator_wallets.ACCEPT_BET,
    operator_wallets.RECORD_RESULT,
    operator_wallets.RECORD_ATTEMPT,
    operator_wallets.CLOSE,
)
OPERATORS_VOID: Final = (
    operator_wallets.BEGIN_BET,
    operator_wallets.RECORD_ATTEMPT,
    operator_wallets.ACCEPT_BET,
    operator_wallets.BEGIN_BET,
    operator_wallets.BEGIN_RELEASE,
    operator_wallets.RECORD_ATTEMPT,
    operator_wallets.RELEASE,
)


@dataclasses.dataclass
class Break:
    """Where one round's connection breaks: at the statement of this number, once. None is nowhere."""

    place: int | None
    after_commit: bool = False
    executed: list[str] = dataclasses.field(default_factory=list)
    fired: int = 0


class BreakingPool:
    """A pool of which a statement that names a planned round breaks as planned."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.plans: dict[str, Break] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    async def fetchrow(self, statement: str, *arguments: Any) -> Any:
        return await self._through(self._pool.fetchrow, statement, *arguments)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        return await self._through(self._pool.fetchval, statement, *arguments)

    async def _through(self, execute: Callable[..., Awaitable[Any]], statement: str, *arguments: Any) -> Any:
        plan = next((self.plans[a] for a in arguments if isinstance(a, str) and a in self.plans), None)
        if plan is None:
            return await execute(statement, *arguments)
        place = len(plan.executed)
        plan.executed.append(statement)
        breaks = place == plan.place
        plan.fired += breaks
        if breaks and not plan.after_commit:
            raise asyncpg.ConnectionDoesNotExistError("the connection was lost before the statement")
        answer = await execute(statement, *arguments)
        if breaks:
            raise asyncpg.ConnectionDoesNotExistError("the connection was lost after the commit")
        return answer


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """A worker whose pool breaks. `wallet` is the one of the operator "at-a-wallet-..."."""

    client: Client
    task_queue: str
    pool: BreakingPool
    database: Database
    keyring: Keyring
    operators_wallet: RunningWallet
    operator_id: str

    async def seat(self, *, at_operator: bool) -> Seat:
        """A player with BALANCE at its wallet."""
        operator_id = self.operator_id if at_operator else f"op-{uuid4().hex[:12]}"
        await operators.ensure_operator(self.database.pool, operator_id=operator_id, name="a test's")
        sessions = SessionService(
            self.database.pool, SeedVault(self.keyring), TokenIssuer(self.keyring), lifetime_s=3600
        )
        session, _ = await sessions.open(
            operator_id=operator_id,
            player_id=uuid4().hex,
            game_id="dice",
            currency="EUR",
            client_seed=None,
        )
        seat = Seat(self.database, session)
        if at_operator:
            self.operators_wallet.book.open_player(operator_id, session.player_id, "EUR", BALANCE)
        else:
            await seat.deposit(BALANCE)
        return seat

    async def play(self, bet: Bet, plan: Break) -> RoundClosed:
        self.pool.plans[bet.key.round_id] = plan
        closed: RoundClosed = await asyncio.wait_for(
            self.client.execute_workflow(
                ROUND_WORKFLOW,
                bet,
                id=bet.key.workflow_id,
                task_queue=self.task_queue,
                result_type=RoundClosed,
            ),
            timeout=HANG_S,
        )
        return closed


@pytest.fixture(autouse=True)
def fast_path_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine sends no round to the durable path, where it would execute other statements. Well before
    four fifths of a workflow task's ten seconds."""
    monkeypatch.setattr(policies, "FAST_PATH_LIMIT", timedelta(seconds=7))
    monkeypatch.setattr(money, "FAST_PATH_WALLETS_S", 6.0)


@pytest.fixture
async def bench(services: Services, database: Database, temporal: Client) -> AsyncIterator[Bench]:
    addresses = services.stack.addresses
    settings = services.settings.model_copy(
        update={
            "database_url": SecretStr(addresses.application_database_url),
            "amqp_url": SecretStr(addresses.amqp_url),
            "task_queue": f"interrupted-{uuid4().hex}",
        }
    )
    operator_id = f"at-a-wallet-{uuid4().hex[:8]}"
    async with running_wallet() as wallet, open_resources(settings) as resources:
        await operators.ensure_operator(database.pool, operator_id=operator_id, name="a test's")
        vault = WalletVault(services.keyring)
        stored = StoredWallet(
            operator_id=operator_id,
            url=wallet.url,
            dialect="croupier",
            sealed_secrets=vault.seal(operator_id, (wallet.secret,)),
            local=True,
        )
        assert await operator_wallets.store(database.pool, stored)
        pool = BreakingPool(resources.database.pool)
        breaking = dataclasses.replace(
            resources,
            database=dataclasses.replace(resources.database, pool=pool),
        )
        registry = Registry.load(settings.games)
        async with (
            wallets.opened(breaking) as at_operators,
            round_worker.running(temporal, breaking, registry, at_operators, _nobody_waits),
        ):
            yield Bench(temporal, settings.task_queue, pool, database, services.keyring, wallet, operator_id)


def _nobody_waits(view: RoundView) -> None:
    pass


@pytest.mark.parametrize(
    ("at_operator", "choice", "end", "statements"),
    [
        pytest.param(False, OVER_HALF, RoundState.SETTLED, OWN_SETTLED, id="own-settled"),
        pytest.param(False, NO_GAME_TAKES_IT, RoundState.VOID, OWN_VOID, id="own-void"),
        pytest.param(True, OVER_HALF, RoundState.SETTLED, OPERATORS_SETTLED, id="operators-settled"),
        pytest.param(True, NO_GAME_TAKES_IT, RoundState.VOID, OPERATORS_VOID, id="operators-void"),
    ],
)
async def test_a_round_interrupted_at_any_statement_comes_to_its_one_end(
    bench: Bench, at_operator: bool, choice: dict[str, Any], end: RoundState, statements: tuple[str, ...]
) -> None:
    undisturbed = Break(None)
    await _play_and_check(bench, undisturbed, choice, end, at_operator=at_operator)
    assert tuple(undisturbed.executed) == statements, "the places below are those of the round as it is"

    breaks = [
        Break(place, after_commit) for place in range(len(statements)) for after_commit in (False, True)
    ]
    checks = (_play_and_check(bench, each, choice, end, at_operator=at_operator) for each in breaks)
    await asyncio.gather(*checks)
    for each in breaks:
        assert each.fired == 1, each
        assert each.place is not None
        assert each.executed[: each.place + 1] == list(statements[: each.place + 1])


async def _play_and_check(
    bench: Bench, plan: Break, choice: dict[str, Any], end: RoundState, *, at_operator: bool
) -> None:
    seat = await bench.seat(at_operator=at_operator)
    bet = seat.bet(stake=STAKE, choice=choice)
    closed = await bench.play(bet, plan)
    view = await rounds.find(bench.database.pool, bet.key)
    assert view is not None
    assert (closed.state, view.state) == (end, end), plan
    moved = view.win - STAKE if end is RoundState.SETTLED else 0
    if at_operator:
        assert await seat.money() == (0, 0), "the mirror is empty when the round has ended"
        _check_wallet(bench.operators_wallet, bet, view, moved)
    else:
        assert await seat.money() == (BALANCE + moved, 0), plan
    kinds = [transfer["kind"] for transfer in await seat.transfers()]
    assert kinds == _kinds(at_operator=at_operator, settled=end is RoundState.SETTLED, won=view.win > 0)
    assert [event["type"] for event in await seat.events()] == [f"round.{end}"]


def _check_wallet(wallet: RunningWallet, bet: Bet, view: RoundView, moved: int) -> None:
    """The wallet's own book has the same movements, each once."""
    player = wallet.book.player(bet.key.operator_id, bet.player_id)
    assert player is not None
    assert player.balance == BALANCE + moved
    assert wallet.moved(transaction_id(bet.key, WalletCall.BET)) == -STAKE
    settled = view.state is RoundState.SETTLED
    assert wallet.moved(transaction_id(bet.key, WalletCall.WIN)) == (view.win if settled else None)
    assert wallet.moved(transaction_id(bet.key, WalletCall.ROLLBACK)) == (None if settled else STAKE)


def _kinds(*, at_operator: bool, settled: bool, won: bool) -> list[str]:
    """The transfers of the player's account, in their order."""
    before = ["collected"] if at_operator else ["deposit"]
    if not settled:
        return [*before, "returned"] if at_operator else before
    paid = ["win", "paid"] if at_operator else ["win"]
    return [*before, "stake", *(paid if won else [])]
