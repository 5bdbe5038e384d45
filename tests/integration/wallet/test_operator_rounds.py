"""Rounds at an operator's wallet, whole: the real worker, Temporal and ledger against the reference wallet in
a process of its own, with each of its faults on each call. In the end both sides have the same money.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import pytest

from contracts.rounds import RoundState
from contracts.wallet import WalletCall
from operator_wallet.faults import ONLY_FOR, Kind
from storage.database import Database, open_database
from tests.conftest import Services
from tests.integration.wallet.casino import (
    OPENING,
    SERVER_ERRORS,
    STAKE,
    Casino,
    Player,
    casino_settings,
    open_casino,
)
from tests.support.conditions import HANG_S
from tests.support.databases import as_application, migrated_database
from tests.support.operator_wallet import RunningWallet, running_wallet
from wallet.operator import transaction_id

FAULTS: Final[dict[str, Any]] = {"slow_s": 0.2, "delay_s": 0.3, "hold_s": HANG_S}


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


@pytest.fixture
async def player(casino: Casino) -> AsyncIterator[Player]:
    await casino.wallet.set_faults()
    yield await casino.seat()
    await casino.wallet.clear_faults()


async def test_a_round_whose_worker_is_here_is_known_to_run_here(player: Player) -> None:
    """Else each would be listened for elsewhere too, which costs a query and three messages."""
    bet = player.bet()
    assert await player.casino.workflows.start(bet)
    await player.end_of(bet)


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


PROCESSED_AND_TOLD: Final = (
    *(Kind.SLOW, Kind.DUPLICATE_ANSWER, Kind.ODD_BALANCE),
    *(Kind.ANSWERED_TWICE, Kind.EMPTY_LINE),
)
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


@pytest.mark.parametrize("lost", [0, 2], ids=["rollback-taken", "rollback-lost-twice"])
async def test_a_win_that_the_wallet_had_rolled_back_ends_void(player: Player, lost: int) -> None:
    """The first terminal stands (certification case 22): somebody rolled the bet back at the wallet. A
    rollback of ours makes sure of it."""
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
    await player.casino.wallet.set_faults(script=[{"kind": Kind.ERROR_BEFORE, "call": "rollback"}] * lost)
    view = await player.end_of(bet)
    assert (view.state, view.failure_code, view.win) == (RoundState.VOID, "rolled-back", 0)
    assert (await player.attempts(WalletCall.ROLLBACK))[lost:] == [("accepted", None)]
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
