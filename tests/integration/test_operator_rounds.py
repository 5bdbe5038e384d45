"""Rounds at an operator's wallet, whole: the real worker, Temporal and ledger against the reference wallet in
a process of its own, with each of its faults on each call. In the end both sides have the same money.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import pytest
from pydantic import SecretStr
from temporalio.client import Client, WorkflowExecutionStatus

from api.bet.result_waiter import ResultWaiter
from api.bet.service import BetService
from api.result.service import ResultService
from api.session.service import SessionService
from cli.operator import wallet as command
from contracts.rounds import Bet, RoundKey, RoundState
from contracts.views import RoundView
from contracts.wallet import WalletCall
from games.registry import Registry
from operator_wallet.faults import ONLY_FOR, Kind
from runtime.resources import connect_temporal, open_resources
from runtime.round_workflows import RoundWorkflows
from runtime.settings import Settings
from security.seeds import SeedVault
from security.tokens import TokenIssuer
from storage import operators, rounds
from storage.database import Database, open_database
from tests.conftest import Services
from tests.support.conditions import HANG_S, until
from tests.support.databases import as_application, migrated_database
from tests.support.operator_wallet import RunningWallet, running_wallet
from verification.invariants.events import ONE_EVENT
from verification.invariants.guards import NONCES_USED_ONCE
from verification.invariants.invariant import violations
from verification.invariants.money import BALANCES_ARE_POSTINGS, HOLDS_ARE_OPEN_STAKES
from verification.invariants.rounds import (
    ONE_TERMINAL,
    ROUNDS_ARE_COMPLETE,
    WALLET_BETS_ARE_RESOLVED,
    WALLETS_ARE_SQUARE,
)
from wallet.operator import transaction_id
from workers import round_worker, wallets

OPENING: Final = 10_000
STAKE: Final = 100
CHOICE: Final = {"direction": "over", "target": 4_999}
PATIENCE_S: Final = HANG_S
# So that what is never answered is soon unknown, before a round's fast path is given up; and long enough that
# what is answered is not, when the machine pauses for a second.
TOTAL_MS: Final = 1_500
SERVER_ERRORS: Final = 200  # more than there are attempts
FAULTS: Final[dict[str, Any]] = {"slow_s": 0.2, "delay_s": 0.3, "hold_s": 5}
MONEY: Final = (
    BALANCES_ARE_POSTINGS,
    HOLDS_ARE_OPEN_STAKES,
    ONE_TERMINAL,
    WALLETS_ARE_SQUARE,
    WALLET_BETS_ARE_RESOLVED,
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
    desk: BetService
    sessions: SessionService
    wallet: RunningWallet

    async def seat(self) -> "Player":
        player_id = uuid4().hex
        self.wallet.book.open_player(self.operator_id, player_id, "EUR", OPENING)
        session, _ = await self.sessions.open(
            operator_id=self.operator_id,
            player_id=player_id,
            game_id="dice",
            currency="EUR",
            client_seed=None,
        )
        return Player(self, player_id, session.player_key, session.account_id, session.session_id)


@dataclass(frozen=True, slots=True)
class Player:
    """A player whose money the operator's wallet keeps."""

    casino: Casino
    player_id: str
    player_key: int
    account_id: int
    session_id: str

    def bet(self, *, stake: int = STAKE) -> Bet:
        return Bet(
            key=RoundKey(
                operator_id=self.casino.operator_id, player_key=self.player_key, round_id=uuid4().hex
            ),
            player_id=self.player_id,
            account_id=self.account_id,
            session_id=self.session_id,
            game_id="dice",
            game_version="1.0.0",
            currency="EUR",
            stake=stake,
            mode="base",
            choice=CHOICE,
            request_id=uuid4().hex,
        )

    async def play(self, bet: Bet) -> RoundView | None:
        """What a waiting client is told first."""
        return (await self.casino.desk.place(bet)).view

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
        moved = view.win - view.stake if view.state is RoundState.SETTLED else 0
        assert self.balance == OPENING + moved
        mirror = await self.casino.database.pool.fetchrow(
            "SELECT balance, held FROM accounts WHERE id = $1", self.account_id
        )
        assert tuple(mirror) == (0, 0)
        async with self.casino.database.pool.acquire() as connection:
            for invariant in MONEY:
                found = await violations(connection, invariant, overdue_after_s=0)
                assert found.count == 0, f"{invariant.name}: {found.examples}"


@pytest.fixture(scope="module")
async def wallet() -> AsyncIterator[RunningWallet]:
    async with running_wallet() as running:
        yield running


@pytest.fixture(scope="module")
async def own_url(services: Services) -> AsyncIterator[str]:
    """A database of which all that the invariants find is of these tests."""
    async with migrated_database(services) as url:
        yield url


@pytest.fixture(scope="module")
async def database(own_url: str) -> AsyncIterator[Database]:
    opened = await open_database(own_url, connections=10)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def casino(
    services: Services, own_url: str, database: Database, wallet: RunningWallet
) -> AsyncIterator[Casino]:
    """Everything as workers/serve.py puts it together, on a task queue of its own."""
    addresses = services.stack.addresses
    settings = services.settings.model_copy(
        update={
            "database_url": SecretStr(as_application(services, own_url)),
            "amqp_url": SecretStr(addresses.amqp_url),
            "temporal_address": addresses.temporal_address,
            "temporal_namespace": addresses.temporal_namespace,
            "task_queue": f"operator-rounds-{uuid4().hex[:8]}",
        }
    )
    operator_id = f"op-{uuid4().hex[:12]}"
    await operators.ensure_operator(database.pool, operator_id=operator_id, name="a test's")
    await command.store(settings, _wanted(operator_id, wallet.url), (wallet.secret,))
    waiter, registry = ResultWaiter(), Registry.load(settings.games)
    async with open_resources(settings) as resources:
        client = await connect_temporal(settings, resources.keyring)
        async with (
            wallets.opened(resources) as operators_wallets,
            round_worker.running(client, resources, registry, operators_wallets, waiter.deliver),
        ):
            desk = BetService(
                RoundWorkflows(client, task_queue=settings.task_queue),
                ResultService(resources.database),
                waiter,
                patience_s=PATIENCE_S,
            )
            sessions = SessionService(
                resources.database.pool,
                SeedVault(resources.keyring),
                TokenIssuer(resources.keyring),
                lifetime_s=3600,
            )
            yield Casino(operator_id, settings, database, client, desk, sessions, wallet)


@pytest.fixture
async def player(casino: Casino) -> AsyncIterator[Player]:
    await casino.wallet.set_faults()
    yield await casino.seat()
    await casino.wallet.clear_faults()


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


async def test_a_round_is_played_on_the_fast_path_with_the_wallets_balance(player: Player) -> None:
    bet = player.bet()
    answered = await player.play(bet)
    assert answered is not None
    assert answered.state is RoundState.SETTLED
    assert answered.balance == OPENING - STAKE + answered.win == player.balance
    assert await player.end_of(bet) == answered
    assert await player.attempts(WalletCall.BET) == [("accepted", None)]
    assert await player.attempts(WalletCall.WIN) == [("accepted", None)]
    await player.assert_square(answered)


async def test_twenty_rounds_net_correctly(player: Player) -> None:
    won = 0
    for _ in range(20):
        view = await player.play(player.bet())
        assert view is not None
        assert view.state is RoundState.SETTLED
        won += view.win - STAKE
    assert player.balance == OPENING + won


async def test_a_stake_that_the_wallet_cannot_cover_is_declined_with_the_true_balance(player: Player) -> None:
    bet = player.bet(stake=OPENING + 1)
    declined = await player.play(bet)
    assert declined is not None
    assert (declined.state, declined.failure_code, declined.balance) == (
        RoundState.DECLINED,
        "insufficient-funds",
        OPENING,
    )
    await player.assert_square(declined)
    after = await player.play(player.bet())
    assert after is not None
    assert after.state is RoundState.SETTLED, "the session is not wedged"


async def test_a_player_whom_the_wallet_blocks_is_declined(player: Player) -> None:
    player.casino.wallet.book.block_player(player.casino.operator_id, player.player_id, blocked=True)
    declined = await player.play(player.bet())
    assert declined is not None
    assert (declined.state, declined.failure_code) == (RoundState.DECLINED, "player-blocked")
    await player.assert_square(declined)


PROCESSED_AND_TOLD: Final = (Kind.SLOW, Kind.DUPLICATE_ANSWER)
CALLS: Final = (WalletCall.BET, WalletCall.WIN, WalletCall.ROLLBACK)


@pytest.mark.parametrize("kind", [kind for kind in Kind if WalletCall.BET in ONLY_FOR.get(kind, CALLS)])
async def test_a_fault_of_one_bet_is_mended_by_its_repeat(player: Player, kind: Kind) -> None:
    """Processed or not, the same balance (certification case 25)."""
    bet = player.bet()
    await player.casino.wallet.set_faults(
        script=[{"kind": kind, "call": "bet", "transaction_id": transaction_id(bet.key, WalletCall.BET)}],
        **FAULTS,
    )
    await player.play(bet)
    view = await player.end_of(bet)
    await player.casino.wallet.until_fired(kind)
    expected = RoundState.DECLINED if kind is Kind.NO_FUNDS else RoundState.SETTLED
    assert view.state is expected
    await player.assert_square(view)


@pytest.mark.parametrize("kind", [kind for kind in Kind if WalletCall.WIN in ONLY_FOR.get(kind, CALLS)])
async def test_a_fault_of_two_wins_is_mended_by_their_repeats(player: Player, kind: Kind) -> None:
    """Credited once (certification case 26); the client is told meanwhile that the round is settling."""
    bet = player.bet()
    cue = {"kind": kind, "call": "win", "transaction_id": transaction_id(bet.key, WalletCall.WIN)}
    await player.casino.wallet.set_faults(script=[cue, cue], **FAULTS)
    told = await player.play(bet)
    view = await player.end_of(bet)
    await player.casino.wallet.until_fired(kind)
    assert told is not None
    assert told.state is (RoundState.SETTLED if kind in PROCESSED_AND_TOLD else RoundState.SETTLING)
    assert view.state is RoundState.SETTLED
    assert (view.win, view.outcome) == (told.win, told.outcome)
    await player.assert_square(view)


@pytest.mark.parametrize("kind", [kind for kind in Kind if WalletCall.ROLLBACK in ONLY_FOR.get(kind, CALLS)])
async def test_a_fault_of_a_rollback_is_mended_by_its_repeat(player: Player, kind: Kind) -> None:
    bet = player.bet()
    await player.casino.wallet.set_faults(
        script=[
            {"kind": Kind.ERROR_AFTER, "call": "bet"},
            {"kind": Kind.ERROR_AFTER, "call": "bet"},
            {"kind": kind, "call": "rollback"},
        ],
        **FAULTS,
    )
    await player.play(bet)
    view = await player.end_of(bet)
    await player.casino.wallet.until_fired(kind)
    assert (view.state, view.failure_code) == (RoundState.VOID, "reserve-uncertain")
    await player.assert_square(view)


@pytest.mark.parametrize("kind", [Kind.ERROR_BEFORE, Kind.ERROR_AFTER, Kind.TIMEOUT_THEN_PROCESSED])
async def test_a_bet_that_stays_unknown_is_void_whether_it_was_taken_or_not(
    player: Player, kind: Kind
) -> None:
    bet = player.bet()
    await player.casino.wallet.set_faults(script=[{"kind": kind, "call": "bet"}] * 2, **FAULTS)
    await player.play(bet)
    view = await player.end_of(bet)
    await player.casino.wallet.until_fired(kind, 2)
    assert (view.state, view.failure_code) == (RoundState.VOID, "reserve-uncertain")
    assert view.outcome is None
    await player.assert_square(view)
    after = await player.play(player.bet())
    assert after is not None
    assert after.state is RoundState.SETTLED


async def test_a_win_that_the_wallet_had_rolled_back_ends_void(player: Player) -> None:
    """The first terminal stands (certification case 22): somebody rolled the bet back at the wallet."""
    bet = player.bet()
    cue = {"kind": Kind.ERROR_BEFORE, "call": "win"}
    await player.casino.wallet.set_faults(script=[cue] * SERVER_ERRORS)
    await player.play(bet)
    rolled_back = await player.casino.wallet.call(
        "rollback",
        {
            "operator_id": player.casino.operator_id,
            "player_id": player.player_id,
            "session_id": player.session_id,
            "currency": "EUR",
            "transaction_id": str(uuid4()),
            "round_id": bet.key.round_id,
            "game_id": "dice",
            "bet_transaction_id": transaction_id(bet.key, WalletCall.BET),
        },
    )
    assert rolled_back.status_code == 200, rolled_back.text
    await player.casino.wallet.clear_faults()
    view = await player.end_of(bet)
    assert (view.state, view.failure_code, view.win) == (RoundState.VOID, "rolled-back", 0)
    await player.assert_square(view)


async def test_a_wallet_that_is_away_declines_bets_and_pays_wins_when_it_is_back(player: Player) -> None:
    """What surely never left us has moved nothing; what was won is told until it is taken."""
    casino = player.casino
    won = player.bet()
    await casino.wallet.set_faults(script=[{"kind": Kind.ERROR_BEFORE, "call": "win"}])
    told = await player.play(won)
    assert told is not None
    assert told.state is RoundState.SETTLING
    await casino.wallet.kill()
    try:
        refused = await casino.seat()
        declined = await refused.play(refused.bet())
        assert declined is not None
        assert (declined.state, declined.failure_code) == (RoundState.DECLINED, "wallet-failed")
        await refused.assert_square(declined)
    finally:
        await casino.wallet.start()
    await player.assert_square(await player.end_of(won))


async def test_a_repeat_of_a_bet_is_the_same_round(player: Player) -> None:
    bet = player.bet()
    views = await asyncio.gather(*(player.play(bet) for _ in range(10)))
    assert len({repr(view) for view in views}) == 1
    await player.assert_square(await player.end_of(bet))
