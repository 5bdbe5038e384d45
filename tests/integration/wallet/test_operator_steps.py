"""OperatorSteps against scripted answers, on the real ledger: what follows from each answer, and what the
wallet was told, in the words of docs/platform/wallet.md.
"""

import asyncio
import json
import logging
from dataclasses import replace
from typing import Final

import pytest

from contracts.actions import ActionVerdict, ActRequest, PlayerAction
from contracts.choices import Choice, Chosen, Offer
from contracts.interventions import Action
from contracts.rounds import Bet, OpenRequest, Resolution, RoundState, SettleRequest
from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletVerdict
from storage import operator_wallets, rounds
from storage.database import Database
from tests.integration.interventions.decisions import accepted
from tests.integration.wallet.table import ACCEPTED, TIMEOUT, WHY, WON, Table, refused
from tests.support.conditions import HANG_S
from tests.support.ledger import OUTCOME, assert_hold, take_seat
from verification.invariants.events import EVENTS_AGREE
from verification.invariants.rounds import ROUNDS_ARE_COMPLETE, WALLET_BETS_ARE_RESOLVED, WALLETS_ARE_SQUARE
from wallet import operator
from wallet.ledger import LedgerSteps
from wallet.operator import OperatorSteps, transaction_id
from wallet.router import MoneyRouter
from wallet.sessions import Authenticating
from wallet.steps import WalletConflict, WalletPending, WalletReleasing, WalletUncertain

ROLLED_BACK: Final = WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=1_000)
NOT_SENT: Final = WalletAnswer(verdict=WalletVerdict.UNKNOWN, code="wallet-away", sent=False)


@pytest.fixture
async def table(database: Database) -> Table:
    return Table(await take_seat(database))


async def test_a_round_tells_the_wallet_its_bet_and_its_win(table: Table) -> None:
    bet = table.seat.bet()
    assert (await table.reserve(bet, ACCEPTED)).state is RoundState.PENDING
    settled = await table.settle(bet, WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=1_150))
    assert (settled.state, settled.win, settled.balance) == (RoundState.SETTLED, 250, 1_150)
    asked, paid = table.told
    assert (asked.call, asked.amount, asked.bet_transaction_id) == (WalletCall.BET, 100, None)
    assert (paid.call, paid.amount, paid.bet_transaction_id) == (WalletCall.WIN, 250, asked.transaction_id)
    assert asked.transaction_id == transaction_id(bet.key, WalletCall.BET) != paid.transaction_id
    assert await table.seat.money() == (0, 0)


@pytest.mark.parametrize(
    ("at_bet", "at_end", "shown"),
    [(-50, -30, -30), (-50, None, 200), (None, None, None), (2**53 - 1, None, None)],
)
@pytest.mark.parametrize("end", ["settle", "release"])
async def test_a_balance_is_shown_as_the_wallet_says_it_and_an_event_says_what_can_be_bet(
    table: Table, end: str, at_bet: int | None, at_end: int | None, shown: int | None
) -> None:
    bet = table.seat.bet(stake=250)
    await table.reserve(bet, replace(ACCEPTED, balance=at_bet))
    ended = await getattr(table, end)(bet, replace(ACCEPTED, balance=at_end))
    assert ended.balance == shown
    pool = table.seat.database.pool
    told = await pool.fetchval("SELECT data::text FROM outbox WHERE event_id = $1", ended.event_id)
    assert json.loads(told)["balance"] == {"amount": max(shown or 0, 0), "currency": "EUR"}
    async with pool.acquire() as connection:
        await assert_hold(connection, [EVENTS_AGREE, ROUNDS_ARE_COMPLETE], overdue_after_s=0)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (WalletRefusal.INSUFFICIENT_FUNDS, "insufficient-funds"),
        (WalletRefusal.SESSION_EXPIRED, "session-expired"),
        (WalletRefusal.PLAYER_BLOCKED, "player-blocked"),
        (WalletRefusal.CURRENCY_MISMATCH, "currency-mismatch"),
        (WalletRefusal.INVALID, "wallet-failed"),
        (WalletRefusal.ID_REUSED, "wallet-failed"),
        (WalletRefusal.BAD_SIGNATURE, "wallet-failed"),
    ],
)
async def test_a_clear_refusal_declines_the_bet(table: Table, refusal: WalletRefusal, code: str) -> None:
    declined = await table.reserve(table.seat.bet(), refused(refusal, 7))
    assert (declined.state, declined.failure_code, declined.balance) == (RoundState.DECLINED, code, 7)
    assert declined.failure_detail == (None if refusal == code else refusal.value)


async def test_a_bet_that_never_left_us_is_declined(table: Table) -> None:
    declined = await table.reserve(table.seat.bet(), NOT_SENT)
    assert (declined.state, declined.failure_code) == (RoundState.DECLINED, "wallet-failed")


async def test_a_wallet_that_is_not_set_up_declines(table: Table) -> None:
    declined = await table.reserve(table.seat.bet(), ValueError("no key"))
    assert (declined.failure_code, declined.failure_detail) == ("wallet-failed", "not-set-up")


async def test_an_unknown_bet_is_repeated_with_its_own_id(table: Table) -> None:
    bet = table.seat.bet()
    with pytest.raises(WalletUncertain, match="timeout"):
        await table.reserve(bet, TIMEOUT)
    assert (await table.reserve(bet, ACCEPTED)).state is RoundState.PENDING
    assert table.told[0] == table.told[1]


@pytest.mark.parametrize("second", [NOT_SENT, TIMEOUT, refused(WalletRefusal.INSUFFICIENT_FUNDS, 5)])
async def test_after_an_unknown_bet_only_a_rollback_is_certain(table: Table, second: WalletAnswer) -> None:
    """The interleaving: the first asking is on its way yet, whatever the second one is told."""
    bet = table.seat.bet()
    with pytest.raises(WalletUncertain):
        await table.reserve(bet, TIMEOUT)
    with pytest.raises(WalletUncertain):
        await table.reserve(bet, second)
    void = await table.release(bet, WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=1_000))
    assert (void.state, void.balance) == (RoundState.VOID, 1_000)
    assert table.calls[-1] is WalletCall.ROLLBACK
    assert await table.reserve(bet) == void


async def test_a_bet_that_is_released_while_it_is_asked_makes_no_round(table: Table) -> None:
    bet = table.seat.bet()
    pool = table.seat.database.pool
    table.before = lambda: operator_wallets.begin_release(pool, bet, **WHY)
    with pytest.raises(WalletUncertain, match="released"):
        await table.reserve(bet, ACCEPTED)
    assert await rounds.find(pool, bet.key) is None
    assert (await table.release(bet, ACCEPTED)).state is RoundState.VOID
    assert await table.seat.money() == (0, 0)


async def test_a_bet_that_the_wallet_rolled_back_is_released(table: Table) -> None:
    bet = table.seat.bet()
    with pytest.raises(WalletUncertain):
        await table.reserve(bet, refused(WalletRefusal.ROLLED_BACK))
    assert (await table.release(bet, refused(WalletRefusal.ROLLED_BACK, 3))).balance == 3


def authenticating(table: Table) -> OperatorSteps:
    sessions = Authenticating(table.ask)
    return OperatorSteps(table.seat.database.pool, sessions.ask, admit=sessions.admit)


async def test_a_repeat_that_is_not_authenticated_is_rolled_back_not_declined(table: Table) -> None:
    """The interleaving: the wallet takes the bet of a process that dies before it has that on record; the
    session ends; another process repeats the bet, and authenticates the session first."""
    bet = table.seat.bet()
    with pytest.raises(WalletUncertain):
        await table.reserve(bet, TIMEOUT)
    another = authenticating(table)
    table.answers[:] = [refused(WalletRefusal.SESSION_EXPIRED)]
    with pytest.raises(WalletUncertain):
        await another.reserve(bet)
    assert table.calls == [WalletCall.BET, WalletCall.AUTHENTICATE]
    void = await table.release(bet, ACCEPTED)
    assert (void.state, table.calls[-1]) == (RoundState.VOID, WalletCall.ROLLBACK)


async def test_a_bet_of_a_session_that_the_wallet_does_not_know_is_declined(table: Table) -> None:
    money = authenticating(table)
    table.answers[:] = [refused(WalletRefusal.SESSION_EXPIRED)]
    declined = await money.reserve(table.seat.bet())
    assert (declined.state, declined.failure_code) == (RoundState.DECLINED, "session-expired")
    table.answers[:] = [ACCEPTED, ACCEPTED]
    assert (await money.reserve(table.seat.bet())).state is RoundState.PENDING
    assert table.calls == [WalletCall.AUTHENTICATE, WalletCall.AUTHENTICATE, WalletCall.BET]


async def test_a_bet_whose_session_is_not_authenticated_in_time_was_never_sent(table: Table) -> None:
    """It is declined, and leaves nothing to roll back. The next one meets the answer that came meanwhile."""
    go = asyncio.Event()
    table.before = go.wait
    table.answers[:] = [ACCEPTED, ACCEPTED]
    money = authenticating(table)
    declined = await money.reserve(table.seat.bet(), within_s=0.05)
    assert (declined.state, declined.failure_code) == (RoundState.DECLINED, "wallet-failed")
    assert table.calls == [WalletCall.AUTHENTICATE]
    go.set()
    assert (await money.reserve(table.seat.bet())).state is RoundState.PENDING
    assert table.calls == [WalletCall.AUTHENTICATE, WalletCall.BET]


async def test_a_bet_and_what_comes_before_it_end_within_the_longest_call(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the step would be repeated while its first attempt still asks."""
    monkeypatch.setattr(operator, "LONGEST_CALL_S", 0.05)
    go = asyncio.Event()
    table.before = go.wait
    table.answers[:] = [ACCEPTED]
    async with asyncio.timeout(HANG_S):
        declined = await authenticating(table).reserve(table.seat.bet())
    go.set()
    assert (declined.failure_code, table.calls) == ("wallet-failed", [WalletCall.AUTHENTICATE])


@pytest.mark.parametrize(
    "answer", [TIMEOUT, NOT_SENT, refused(WalletRefusal.UNKNOWN_TRANSACTION), ValueError("no key")]
)
async def test_a_win_without_a_clear_answer_is_told_again_and_never_computed_again(
    table: Table, answer: WalletAnswer | Exception
) -> None:
    bet = table.seat.bet()
    await table.reserve(bet, ACCEPTED)
    with pytest.raises(WalletPending) as pending:
        await table.settle(bet, answer)
    assert pending.value.view is not None
    assert (pending.value.view.state, pending.value.view.win) == (RoundState.SETTLING, 250)
    table.answers[:] = [ACCEPTED]
    other = Resolution(outcome={}, win=9_999)
    settled = await table.money.settle(SettleRequest(bet=bet, resolution=other))
    assert (settled.view.win, settled.view.outcome) == (250, OUTCOME)
    assert table.told[-1] == table.told[-2]


async def test_a_recorded_result_is_settled_from_the_record(table: Table) -> None:
    bet = table.seat.bet()
    await table.reserve(bet, ACCEPTED)
    with pytest.raises(WalletPending):
        await table.settle(bet, TIMEOUT)
    assert (await table.release(bet)).state is RoundState.SETTLING
    table.answers[:] = [ACCEPTED]
    on_record = SettleRequest(bet=bet, resolution=None)
    assert (await table.money.settle(on_record)).view.state is RoundState.SETTLED
    assert WalletCall.ROLLBACK not in table.calls


async def test_a_settle_of_a_round_that_is_released_tells_the_wallet_nothing(table: Table) -> None:
    bet = table.seat.bet()
    await table.reserve(bet, ACCEPTED)
    with pytest.raises(WalletPending):
        await table.release(bet, TIMEOUT)
    with pytest.raises(WalletReleasing, match="released"):
        await table.settle(bet)
    void = await table.release(bet, ACCEPTED)
    assert await table.settle(bet) == void
    assert table.calls == [WalletCall.BET, WalletCall.ROLLBACK, WalletCall.ROLLBACK]


async def test_a_win_refused_as_rolled_back_is_void_when_a_rollback_of_ours_is_taken(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    """Perhaps nobody rolled it back: then the wallet would keep the stake of a void round."""
    bet = table.seat.bet()
    await table.reserve(bet, ACCEPTED)
    with caplog.at_level(logging.ERROR):
        void = await table.settle(bet, refused(WalletRefusal.ROLLED_BACK, 900), ROLLED_BACK)
    assert (void.state, void.failure_code, void.win, void.balance) == (
        RoundState.VOID,
        "rolled-back",
        0,
        1_000,
    )
    assert table.calls == [WalletCall.BET, WalletCall.WIN, WalletCall.ROLLBACK]
    assert len(caplog.records) == 1
    assert "incident" in caplog.text
    assert await table.seat.money() == (0, 0)
    assert await table.settle(bet) == await table.release(bet) == void


async def test_a_win_refused_as_rolled_back_stays_open_until_the_rollback_is_certain(table: Table) -> None:
    bet = table.seat.bet()
    await table.reserve(bet, ACCEPTED)
    with pytest.raises(WalletPending, match="rollback"):
        await table.settle(bet, refused(WalletRefusal.ROLLED_BACK), TIMEOUT)
    async with table.seat.database.pool.acquire() as connection:
        await assert_hold(connection, [WALLET_BETS_ARE_RESOLVED, WALLETS_ARE_SQUARE, ROUNDS_ARE_COMPLETE])
    with pytest.raises(WalletReleasing):
        await table.settle(bet)
    void = await table.release(bet, ROLLED_BACK)
    assert (void.state, void.failure_code) == (RoundState.VOID, "rolled-back")


async def test_a_win_refused_as_rolled_back_and_taken_in_truth_is_settled(table: Table) -> None:
    """The interleaving: the win that timed out is taken while its repeat is refused."""
    bet = table.seat.bet()
    await table.reserve(bet, ACCEPTED)
    already_won, taken = refused(WalletRefusal.ALREADY_WON), ACCEPTED
    settled = await table.settle(bet, refused(WalletRefusal.ROLLED_BACK), already_won, taken)
    assert (settled.state, settled.win) == (RoundState.SETTLED, 250)
    assert table.told[-1] == table.told[1]


@pytest.mark.parametrize("again", [ACCEPTED, TIMEOUT], ids=["taken", "no-answer"])
async def test_a_rollback_refused_as_already_won_is_settled_unless_the_win_is_refused_too(
    table: Table, caplog: pytest.LogCaptureFixture, again: WalletAnswer
) -> None:
    """The brother: a wallet that says so, and took no win, would owe it to the player."""
    bet = table.seat.bet()
    await table.reserve(bet, ACCEPTED)
    with pytest.raises(WalletPending):
        await table.settle(bet, TIMEOUT)
    await accepted(table.seat, bet, Action.VOID)
    already_won = refused(WalletRefusal.ALREADY_WON)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            with pytest.raises(WalletPending, match="already-won"):
                await table.release(bet, already_won, refused(WalletRefusal.ROLLED_BACK))
    assert len(caplog.records) == 1
    settled = await table.release(bet, already_won, again)
    assert (settled.state, settled.win) == (RoundState.SETTLED, 250)


@pytest.mark.parametrize(
    ("end", "refusal"),
    [("release", WalletRefusal.ALREADY_WON), ("settle", WalletRefusal.UNKNOWN_TRANSACTION)],
)
async def test_a_contradiction_is_reported_once(
    table: Table, caplog: pytest.LogCaptureFixture, end: str, refusal: WalletRefusal
) -> None:
    bet, ending = table.seat.bet(), getattr(table, end)
    await table.reserve(bet, ACCEPTED)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            with pytest.raises(WalletPending):
                await ending(bet, refused(refusal))
    assert len(caplog.records) == 1
    assert f"with {refusal}: it is sent again" in caplog.text
    assert (await ending(bet, ACCEPTED)).state.final


async def test_a_release_of_what_was_never_asked_tells_the_wallet_nothing(table: Table) -> None:
    bet = table.seat.bet()
    assert (await table.release(bet)).state is RoundState.VOID
    assert (await table.reserve(bet)).state is RoundState.VOID
    assert table.told == []


async def test_a_wallet_is_waited_for_no_longer_than_the_fast_path_has(table: Table) -> None:
    bet = table.seat.bet()

    async def hang() -> None:
        await asyncio.sleep(600)

    table.before = hang
    async with asyncio.timeout(HANG_S):
        with pytest.raises(WalletUncertain, match="timeout"):
            await table.money.reserve(bet, within_s=0.05)
    table.before = None
    assert (await table.release(bet, ACCEPTED)).state is RoundState.VOID


async def test_a_bet_of_nobody_is_a_conflict(table: Table) -> None:
    bet = table.seat.bet(session_id="nowhere")
    with pytest.raises(WalletConflict):
        await table.reserve(bet)
    with pytest.raises(WalletConflict):
        await table.release(bet)
    with pytest.raises(WalletConflict):
        await table.settle(bet)


COLLECT: Final = Chosen(action="collect")
OFFER: Final = Offer(
    choices=[Choice(action="collect"), Choice(action="raise", debit=100)], default=COLLECT, decide_within_s=60
)
WAITS: Final = Resolution(outcome=OUTCOME, win=250, offer=OFFER)


def act(bet: Bet, chosen: Chosen = COLLECT) -> ActRequest:
    return ActRequest(bet=bet, action=PlayerAction(action_id="a1", chosen=chosen, request_id="r1"))


async def test_a_round_with_choices_tells_the_wallet_nothing_before_its_end(table: Table) -> None:
    bet = table.seat.bet()
    await table.reserve(bet, ACCEPTED)
    waiting = await table.money.open(OpenRequest(bet=bet, resolution=WAITS))
    assert (waiting.state, waiting.offer) == (RoundState.AWAITING_CHOICE, OFFER)
    taken, view = await table.money.act(act(bet))
    assert view is not None
    assert (taken, view.state, view.actions) == (ActionVerdict.TAKEN, RoundState.PENDING, 1)
    assert table.calls == [WalletCall.BET]


async def test_a_round_that_was_never_reserved_neither_opens_nor_takes_an_action(table: Table) -> None:
    bet = table.seat.bet()
    for money in (table.money, LedgerSteps(table.seat.database.pool)):
        with pytest.raises(WalletConflict):
            await money.open(OpenRequest(bet=bet, resolution=WAITS))
        assert await money.act(act(bet)) == (ActionVerdict.NOT_FOUND, None)
    assert table.calls == []


async def test_a_rollback_refused_for_a_win_that_is_not_on_record_is_asked_again(table: Table) -> None:
    bet = table.seat.bet()
    with pytest.raises(WalletUncertain):
        await table.reserve(bet, TIMEOUT)
    with pytest.raises(WalletPending, match="already-won"):
        await table.release(bet, refused(WalletRefusal.ALREADY_WON))
    assert (await table.release(bet, ACCEPTED)).state is RoundState.VOID


async def test_the_router_asks_whose_wallet_it_is(table: Table) -> None:
    pool = table.seat.database.pool
    at_operators: dict[str, OperatorSteps] = {}
    router = MoneyRouter(LedgerSteps(pool), at_operators)
    bet = table.seat.bet()
    assert (await router.of(bet).reserve(bet)).failure_code == "insufficient-funds"
    at_operators[table.seat.session.operator_id] = table.money
    bet = table.seat.bet()
    table.answers[:] = [ACCEPTED, ACCEPTED]
    assert (await router.of(bet).reserve(bet)).state is RoundState.PENDING
    won = SettleRequest(bet=bet, resolution=WON)
    assert (await router.of(bet).settle(won)).view.state is RoundState.SETTLED
    with pytest.raises(WalletConflict):
        await LedgerSteps(pool).settle(SettleRequest(bet=bet, resolution=None))
