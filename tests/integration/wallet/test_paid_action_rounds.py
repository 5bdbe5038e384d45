"""Rounds in which an action costs something, whole: the real worker, Temporal, ledger and game against the
reference wallet in a process of its own, with each of its faults. In the end both sides have the same money.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import pytest

from contracts.actions import ActionVerdict, PlayerAction
from contracts.choices import Chosen
from contracts.interventions import Action, Intervention
from contracts.rounds import Bet, RoundState
from contracts.views import RoundView
from contracts.wallet import WalletCall
from games.lucky_fruits import GAME
from games.protocol import Wager
from games.recompute import recompute
from operator_wallet.faults import ONLY_FOR, Kind
from runtime.round_workflows import WorkflowLost
from security.seeds import SeedVault, commitment, new_server_seed
from storage import rounds
from storage.database import Database, open_database
from tests.conftest import Services
from tests.integration.wallet.casino import (
    SERVER_ERRORS,
    STAKE,
    Casino,
    Player,
    casino_settings,
    open_casino,
)
from tests.support.conditions import HANG_S, until
from tests.support.databases import as_application, migrated_database
from tests.support.operator_wallet import RunningWallet, running_wallet
from wallet.operator import transaction_id

FAULTS: Final[dict[str, Any]] = {"slow_s": 0.2, "delay_s": 0.3, "hold_s": HANG_S}
RAISE: Final = "raise"
ACTION_ID: Final = "a1"
SEED: Final = """
    SELECT d.id, d.client_seed FROM seeds d JOIN sessions s ON s.seed_id = d.id WHERE s.id = $1
"""
SET_SEED: Final = "UPDATE seeds SET sealed_server_seed = $2, server_seed_hash = $3 WHERE id = $1"


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
    settings = casino_settings(services, as_application(services, own_url))
    async with open_casino(settings, database, wallet) as casino:
        yield casino


class Raising:
    """A player whose round offers to raise, and what they do there."""

    def __init__(self, player: Player, bet: Bet, waits: RoundView) -> None:
        self.player, self.bet, self.waits = player, bet, waits

    @property
    def cost(self) -> int:
        assert self.waits.offer is not None
        return next(choice.debit for choice in self.waits.offer.choices if choice.action == RAISE)

    async def act(self, action: str = RAISE, action_id: str = ACTION_ID) -> tuple[ActionVerdict, RoundView]:
        params: dict[str, str | int | bool] = {} if action == "collect" else {"color": "red"}
        chosen = Chosen(action=action, params=params)
        taken = PlayerAction(action_id=action_id, chosen=chosen, request_id=uuid4().hex)
        verdict = await self.player.casino.workflows.act(self.bet, taken, within=timedelta(seconds=HANG_S))
        return verdict, await self.stands()

    async def collected(self) -> RoundView:
        """The round's end. It is square."""
        with suppress(WorkflowLost):  # it has ended
            await self.act("collect", "last")
        return await self.ended()

    async def ended(self) -> RoundView:
        view = await self.player.end_of(self.bet)
        await self.player.assert_square(view)
        return view

    async def set_faults(self, *kinds: Kind, call: WalletCall = WalletCall.BET) -> None:
        """Met by the calls of the action, one after the other."""
        of_action = transaction_id(self.bet.key, call, ACTION_ID)
        script = [{"kind": kind, "call": call, "transaction_id": of_action} for kind in kinds]
        await self.player.casino.wallet.set_faults(script=script, **FAULTS)

    async def act_without_end(self) -> "asyncio.Task[Any]":
        """The wallet takes the action's bet and never says so, and then does not take its rollback, until its
        faults are cleared. Returns once the rollback is refused."""
        bet_id, undo_id = (
            transaction_id(self.bet.key, call, ACTION_ID) for call in (WalletCall.BET, WalletCall.ROLLBACK)
        )
        script = [
            *[{"kind": Kind.ERROR_AFTER, "call": "bet", "transaction_id": bet_id}] * 2,
            *[{"kind": Kind.ERROR_BEFORE, "call": "rollback", "transaction_id": undo_id}] * SERVER_ERRORS,
        ]
        await self.player.casino.wallet.set_faults(script=script)
        acting = asyncio.create_task(self.act())
        await self.player.casino.wallet.until_fired(Kind.ERROR_BEFORE)
        return acting

    async def stands(self) -> RoundView:
        found = await rounds.find(self.player.casino.database.pool, self.bet.key)
        assert found is not None
        return found


@pytest.fixture
async def raising(casino: Casino) -> AsyncIterator[Raising]:
    player = await casino.seat(GAME.id)
    await _plan(player)
    bet = player.bet()
    waits = await player.play(bet)
    assert waits is not None
    yield Raising(player, bet, waits)
    await casino.wallet.clear_faults()


async def _plan(player: Player) -> None:
    """Gives the session a server seed whose first round offers to raise: nothing is left to chance."""
    seed = await player.casino.database.pool.fetchrow(SEED, player.session_id)
    wager = Wager(stake=STAKE, mode="base", choice=None)
    for server_seed in iter(new_server_seed, None):
        step = recompute(GAME, wager, server_seed=server_seed, client_seed=seed["client_seed"], nonce=0)
        if step.offer is not None and any(choice.action == RAISE for choice in step.offer.choices):
            break
    sealed = SeedVault(player.casino.resources.keyring).seal(seed["id"], server_seed)
    await player.casino.database.pool.execute(SET_SEED, seed["id"], sealed, commitment(server_seed))


async def test_a_raise_is_a_second_bet_of_the_round_and_one_win_pays_both(raising: Raising) -> None:
    before = raising.player.balance
    verdict, view = await raising.act()
    assert (verdict, view.extra) == (ActionVerdict.TAKEN, raising.cost)
    if view.open:
        assert raising.player.balance == before - raising.cost
    repeated, _ = await raising.act()
    assert repeated is ActionVerdict.REPLAYED
    ended = await raising.collected()
    assert (ended.state, ended.staked) == (RoundState.SETTLED, STAKE + raising.cost)
    assert await raising.player.attempts(WalletCall.BET) == [("accepted", None)] * 2
    assert await raising.player.attempts(WalletCall.WIN) == [("accepted", None)]


@pytest.mark.parametrize(
    "kind", [kind for kind in Kind if WalletCall.BET in ONLY_FOR.get(kind, {WalletCall.BET})]
)
async def test_a_fault_of_one_bet_of_an_action_is_mended_by_its_repeat(raising: Raising, kind: Kind) -> None:
    await raising.set_faults(kind)
    verdict, view = await raising.act()
    if kind is Kind.NO_FUNDS:
        assert (verdict, view.offer) == (ActionVerdict.INSUFFICIENT_FUNDS, raising.waits.offer)
    else:
        assert (verdict, view.extra) == (ActionVerdict.TAKEN, raising.cost)
    assert (await raising.collected()).state is RoundState.SETTLED
    await raising.player.casino.wallet.until_fired(kind)


@pytest.mark.parametrize("kind", [Kind.ERROR_BEFORE, Kind.ERROR_AFTER, Kind.TIMEOUT_THEN_PROCESSED])
async def test_an_action_that_stays_unknown_is_undone_whether_it_was_taken_or_not(
    raising: Raising, kind: Kind
) -> None:
    before = raising.player.balance
    await raising.set_faults(kind, kind)
    verdict, view = await raising.act()
    await raising.player.casino.wallet.until_fired(kind, 2)
    assert (verdict, view.offer) == (ActionVerdict.WALLET_FAILED, raising.waits.offer)
    assert raising.player.balance == before
    assert (await raising.act())[0] is ActionVerdict.WALLET_FAILED, "the id is spent"
    assert (await raising.act(action_id="a2"))[0] is ActionVerdict.TAKEN
    assert (await raising.collected()).state is RoundState.SETTLED


async def test_an_action_that_the_wallet_cannot_cover_leaves_the_round_waiting(raising: Raising) -> None:
    """The player's money went elsewhere meanwhile."""
    casino, player = raising.player.casino, raising.player
    other = await casino.seat()
    assert other.player_id != player.player_id
    spent = await casino.wallet.call(
        "bet",
        {
            **{"operator_id": casino.operator_id, "player_id": player.player_id, "currency": "EUR"},
            **{"session_id": player.session_id, "transaction_id": str(uuid4()), "round_id": uuid4().hex},
            **{"game_id": "elsewhere", "amount": player.balance},
        },
    )
    assert spent.status_code == 200, spent.text
    verdict, view = await raising.act()
    assert (verdict, view.state) == (ActionVerdict.INSUFFICIENT_FUNDS, RoundState.AWAITING_CHOICE)
    assert view.offer == raising.waits.offer
    await raising.act("collect", "last")
    ended = await player.end_of(raising.bet)
    assert (ended.state, player.balance) == (RoundState.SETTLED, ended.win)


async def test_a_round_that_is_voided_while_its_action_is_at_the_wallet_gives_every_stake_back(
    raising: Raising,
) -> None:
    """The interleaving: a manual intervention voids the round while the action's bet is being rolled back."""
    casino = raising.player.casino
    acting = await raising.act_without_end()
    voided = Intervention(
        intervention_id=str(uuid4()), action=Action.VOID, reason="ticket 4711", actor="key:tests"
    )
    assert (await casino.workflows.intervene(raising.bet, voided)).releasing
    await casino.wallet.clear_faults()
    verdict, _ = await acting
    assert not verdict.counts
    ended = await raising.ended()
    assert (ended.state, ended.failure_code) == (RoundState.VOID, "voided-by-operator")


async def test_a_round_whose_workflow_is_lost_brings_its_action_to_an_end(raising: Raising) -> None:
    """The interleaving: the workflow is gone while the wallet is asked for what the action costs. Whoever
    starts it again, nobody has to repeat the action."""
    casino = raising.player.casino
    acting = await raising.act_without_end()
    await casino.temporal.get_workflow_handle(raising.bet.key.workflow_id).terminate("a test")
    acting.cancel()
    await asyncio.wait([acting])
    await casino.wallet.clear_faults()
    assert await casino.workflows.restart(raising.bet)

    async def answered() -> bool:
        return (await raising.stands()).asked is None

    await until(answered)
    assert (await raising.collected()).state is RoundState.SETTLED
