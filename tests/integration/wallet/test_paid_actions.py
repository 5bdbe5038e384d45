"""An action that costs something against scripted answers of the wallet, on the real ledger: what follows
from each answer, and what the wallet was told."""

import asyncio
import logging
from typing import Any, Final

import asyncpg
import pytest

from contracts.actions import ActionVerdict, ActRequest, PlayerAction
from contracts.choices import Choice, Chosen, Offer
from contracts.interventions import Action
from contracts.rounds import Bet, OpenRequest, Resolution, RoundState, SettleRequest
from contracts.views import RoundView
from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletVerdict
from storage import operator_wallets, rounds
from storage.database import Database
from tests.integration.interventions.decisions import decide
from tests.integration.wallet.table import ACCEPTED, TIMEOUT, WHY, Table, refused
from tests.support.conditions import HANG_S
from tests.support.ledger import OUTCOME, take_seat
from wallet.operator import transaction_id
from wallet.steps import WalletPending, WalletReleasing

COLLECT: Final = Chosen(action="collect")
RAISE: Final = Chosen(action="raise")
OFFER: Final = Offer(
    choices=[Choice(action="collect"), Choice(action="raise", debit=60)], default=COLLECT, decide_within_s=60
)
NOT_SENT: Final = WalletAnswer(verdict=WalletVerdict.UNKNOWN, code="wallet-away", sent=False)
UNDONE: Final = WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=900)
BET, WIN, ROLLBACK = WalletCall.BET, WalletCall.WIN, WalletCall.ROLLBACK


class Raising(Table):
    """A round that waits at the table, and the one action there that costs something."""

    bet: Bet

    async def opened(self) -> "Raising":
        self.bet = self.seat.bet()
        await self.reserve(self.bet, ACCEPTED)
        waits = Resolution(outcome=OUTCOME, win=250, offer=OFFER)
        await self.money.open(OpenRequest(bet=self.bet, resolution=waits))
        self.told.clear()
        return self

    async def act(
        self,
        *answers: WalletAnswer | Exception,
        chosen: Chosen = RAISE,
        action_id: str | None = None,
        within_s: float | None = None,
    ) -> tuple[ActionVerdict, RoundView | None]:
        self.answers[:] = answers
        action = PlayerAction(action_id=action_id or f"{chosen.action}-1", chosen=chosen, request_id="r1")
        request = ActRequest(bet=self.bet, action=action)
        return await self.money.act(request, within_s=within_s)

    async def unknown(self, *answers: WalletAnswer | Exception) -> None:
        with pytest.raises(WalletPending):
            await self.act(*answers)

    async def won(self, *answers: WalletAnswer) -> RoundView:
        self.answers[:] = answers
        result = Resolution(outcome=OUTCOME, win=250, actions=1)
        return (await self.money.settle(SettleRequest(bet=self.bet, resolution=result))).view

    async def stands(self) -> RoundView:
        found = await rounds.find(self.seat.database.pool, self.bet.key)
        assert found is not None
        return found

    @property
    def ids(self) -> list[str | None]:
        return [request.transaction_id for request in self.told]


@pytest.fixture
async def table(database: Database) -> Raising:
    return await Raising(await take_seat(database)).opened()


async def test_what_an_action_costs_is_a_bet_of_its_own_and_the_win_names_the_first(table: Raising) -> None:
    verdict, view = await table.act(ACCEPTED)
    assert view is not None
    assert (verdict, view.state, view.staked) == (ActionVerdict.TAKEN, RoundState.PENDING, 160)
    assert (await table.won(ACCEPTED)).state is RoundState.SETTLED
    asked, paid = table.told
    first = transaction_id(table.bet.key, BET)
    assert (asked.call, asked.amount, asked.bet_transaction_id) == (BET, 60, None)
    assert asked.round_id == table.bet.key.round_id
    assert asked.transaction_id == transaction_id(table.bet.key, BET, "raise-1") != first
    assert (paid.call, paid.bet_transaction_id) == (WIN, first)
    assert await table.seat.money() == (0, 0)


async def test_each_attempt_is_on_record(table: Raising) -> None:
    await table.unknown(TIMEOUT)
    await table.act(ACCEPTED)
    rows = await table.seat.database.pool.fetch(
        "SELECT call, amount, verdict FROM wallet_attempts WHERE round_id = $1 AND transaction_id = $2",
        table.bet.key.round_id,
        transaction_id(table.bet.key, BET, "raise-1"),
    )
    assert [tuple(row) for row in rows] == [("bet", 60, "unknown"), ("bet", 60, "accepted")]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (refused(WalletRefusal.INSUFFICIENT_FUNDS, 7), "insufficient-funds"),
        (refused(WalletRefusal.SESSION_EXPIRED), "session-expired"),
        (refused(WalletRefusal.PLAYER_BLOCKED), "player-blocked"),
        (refused(WalletRefusal.CURRENCY_MISMATCH), "currency-mismatch"),
        (refused(WalletRefusal.INVALID), "wallet-failed"),
        (refused(WalletRefusal.ID_REUSED), "wallet-failed"),
        (NOT_SENT, "wallet-failed"),
        (ValueError("no key"), "wallet-failed"),
    ],
)
async def test_an_action_that_was_surely_not_taken_leaves_the_round_waiting(
    table: Raising, answer: WalletAnswer | Exception, verdict: str
) -> None:
    said, view = await table.act(answer)
    assert view is not None
    assert (said, view.state, view.offer) == (verdict, RoundState.AWAITING_CHOICE, OFFER)
    assert (await table.act())[0] is said, "the id is spent, and the wallet is not asked again"
    taken, _ = await table.act(chosen=COLLECT)
    assert taken is ActionVerdict.TAKEN
    assert table.calls == [BET]


async def test_a_worker_that_dies_between_the_wallets_yes_and_the_ledgers_takes_the_action_once(
    table: Raising, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interleaving: the wallet has the bet, and nothing of its answer is on record."""

    async def dies(*_: object, **__: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(operator_wallets, "record_attempt", dies)
        with pytest.raises(ConnectionResetError):
            await table.act(ACCEPTED)
    again = WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=840, duplicate=True)
    verdict, view = await table.act(again)
    assert view is not None
    assert (verdict, view.staked) == (ActionVerdict.TAKEN, 160)
    assert table.told[0] == table.told[1]
    assert await table.seat.money() == (160, 160)


async def test_an_action_whose_bet_was_lost_is_asked_for_again_with_its_id(table: Raising) -> None:
    await table.unknown(TIMEOUT)
    assert (await table.act(ACCEPTED))[0] is ActionVerdict.TAKEN
    assert table.told[0] == table.told[1]


@pytest.mark.parametrize("second", [NOT_SENT, TIMEOUT, refused(WalletRefusal.INSUFFICIENT_FUNDS, 5)])
async def test_an_action_that_stays_unknown_is_rolled_back_until_that_is_certain(
    table: Raising, second: WalletAnswer
) -> None:
    """The interleaving: the first asking is on its way yet, whatever the second one is told."""
    await table.unknown(TIMEOUT)
    await table.unknown(second)
    await table.unknown(TIMEOUT)
    verdict, view = await table.act(UNDONE)
    assert view is not None
    assert (verdict, view.state, view.offer) == ("wallet-failed", RoundState.AWAITING_CHOICE, OFFER)
    assert table.calls == [BET, BET, ROLLBACK, ROLLBACK]
    assert table.told[-1].bet_transaction_id == table.ids[0]
    assert table.ids[-1] == transaction_id(table.bet.key, ROLLBACK, "raise-1")
    assert (await table.act(chosen=COLLECT))[0] is ActionVerdict.TAKEN


async def test_a_late_yes_to_an_action_that_was_given_up_takes_nothing(table: Raising) -> None:
    """The interleaving: one worker's asking is answered after another worker has given the action up."""

    async def given_up() -> None:
        table.before = None
        await table.unknown(TIMEOUT)
        table.answers[:] = [ACCEPTED]

    table.before = given_up
    await table.unknown()
    assert (await table.act(UNDONE))[0] is ActionVerdict.WALLET_FAILED
    assert table.calls == [BET, BET, ROLLBACK]


async def test_a_bet_that_the_wallet_had_rolled_back_is_given_up(table: Raising) -> None:
    await table.unknown(refused(WalletRefusal.ROLLED_BACK))
    await table.unknown(refused(WalletRefusal.ROLLED_BACK))
    verdict, _ = await table.act(refused(WalletRefusal.ROLLED_BACK))
    assert verdict is ActionVerdict.WALLET_FAILED


async def test_a_wallet_is_waited_for_no_longer_than_an_actions_fast_path_has(table: Raising) -> None:
    async def hang() -> None:
        await asyncio.sleep(600)

    table.before = hang
    async with asyncio.timeout(HANG_S):
        with pytest.raises(WalletPending, match="timeout"):
            await table.act(within_s=0.05)


async def test_a_void_round_rolls_back_each_of_its_bets_the_first_one_first(table: Raising) -> None:
    await table.act(ACCEPTED)
    void = await table.release(table.bet, UNDONE, WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=960))
    assert (void.state, void.balance) == (RoundState.VOID, 960)
    assert [told.bet_transaction_id for told in table.told[1:]] == [
        transaction_id(table.bet.key, BET),
        transaction_id(table.bet.key, BET, "raise-1"),
    ]
    assert await table.seat.money() == (0, 0)


async def test_a_round_is_not_void_before_each_of_its_bets_is_rolled_back(table: Raising) -> None:
    await table.act(ACCEPTED)
    with pytest.raises(WalletPending):
        await table.release(table.bet, UNDONE, TIMEOUT)
    assert (await table.stands()).state is RoundState.PENDING
    with pytest.raises(WalletReleasing):
        await table.won()
    last = WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=960)
    void = await table.release(table.bet, last)
    assert (void.state, void.balance) == (RoundState.VOID, 960)
    assert table.ids[2] == table.ids[3], "each attempt goes on where the one before came to"


async def test_a_round_that_is_voided_while_an_actions_bet_is_lost_rolls_it_back(table: Raising) -> None:
    """The wallet may never have seen that bet: then it remembers the rollback, and refuses the late bet."""
    await table.unknown(TIMEOUT)
    assert (await decide(table.seat, table.bet, Action.VOID)).releasing
    verdict, _ = await table.act()
    assert verdict is ActionVerdict.WRONG_STATE, "the release has it in hand"
    assert (await table.release(table.bet, UNDONE, UNDONE)).state is RoundState.VOID
    assert [told.bet_transaction_id for told in table.told[1:]] == [
        transaction_id(table.bet.key, BET),
        transaction_id(table.bet.key, BET, "raise-1"),
    ]


async def test_a_round_that_is_voided_while_the_wallet_says_yes_rolls_that_back(table: Raising) -> None:
    """The interleaving: the manual intervention comes between the wallet's yes and the ledger's."""

    async def void() -> Any:
        return await decide(table.seat, table.bet, Action.VOID)

    table.before = void
    verdict, _ = await table.act(ACCEPTED)
    table.before = None
    assert verdict is ActionVerdict.WRONG_STATE
    assert (await table.release(table.bet, UNDONE, UNDONE)).state is RoundState.VOID
    assert table.calls == [BET, ROLLBACK, ROLLBACK]
    assert await table.seat.money() == (0, 0)


async def test_what_was_declined_or_undone_is_not_rolled_back_again(table: Raising) -> None:
    await table.act(refused(WalletRefusal.INSUFFICIENT_FUNDS))
    assert (await table.release(table.bet, UNDONE)).state is RoundState.VOID
    assert table.calls == [BET, ROLLBACK]


async def test_a_wallet_that_took_the_win_keeps_every_bet_of_the_round(table: Raising) -> None:
    """The interleaving: a manual void of a round whose win is on its way. The wallet took the win."""
    await table.act(ACCEPTED)
    with pytest.raises(WalletPending):
        await table.won(TIMEOUT)
    await decide(table.seat, table.bet, Action.VOID)
    settled = await table.release(table.bet, refused(WalletRefusal.ALREADY_WON, 1_090), ACCEPTED)
    assert (settled.state, settled.win, settled.staked) == (RoundState.SETTLED, 250, 160)
    assert table.calls == [BET, WIN, ROLLBACK, WIN], "no other bet is rolled back"


async def test_a_win_refused_as_rolled_back_takes_back_what_the_actions_cost(table: Raising) -> None:
    await table.act(ACCEPTED)
    void = await table.won(refused(WalletRefusal.ROLLED_BACK), *[UNDONE] * 2)
    assert (void.state, void.failure_code) == (RoundState.VOID, "rolled-back")
    assert table.told[-1].bet_transaction_id == transaction_id(table.bet.key, BET, "raise-1")
    assert await table.seat.money() == (0, 0)


@pytest.mark.parametrize("taken", [True, False], ids=["taken", "lost"])
async def test_a_worker_of_the_release_before_leaves_the_void_to_one_that_knows_the_actions_bets(
    table: Raising, taken: bool
) -> None:
    """It rolls back the bet that the round began with, and then closes the round."""
    if taken:
        await table.act(ACCEPTED)
    else:
        await table.unknown(TIMEOUT)
    with pytest.raises(WalletPending):
        await table.release(table.bet, UNDONE, TIMEOUT)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await operator_wallets.release(table.seat.database.pool, table.bet, balance=900, **WHY)
    assert not (await table.stands()).state.final
    assert (await table.release(table.bet, refused(WalletRefusal.ROLLED_BACK))).state is RoundState.VOID
    assert await table.seat.money() == (0, 0)


async def test_a_worker_of_the_release_before_does_not_void_a_win_refused_as_rolled_back(
    table: Raising,
) -> None:
    """It rolls back nothing then. An action's bet that was given up before is no word for another's."""
    for _ in range(3):
        await table.unknown(TIMEOUT)
    assert (await table.act(UNDONE))[0] == "wallet-failed"
    await table.act(ACCEPTED, action_id="raise-2")
    with pytest.raises(WalletPending):
        await table.won(TIMEOUT)
    why = {"failure_code": "rolled-back", "failure_detail": "for a test"}
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await operator_wallets.release(table.seat.database.pool, table.bet, balance=900, **why)
    void = await table.won(refused(WalletRefusal.ROLLED_BACK), *[UNDONE] * 2)
    assert (void.state, await table.seat.money()) == (RoundState.VOID, (0, 0))


async def test_bets_that_were_refunded_outside_need_no_rollback_at_the_wallet(table: Raising) -> None:
    await table.act(ACCEPTED)
    with pytest.raises(WalletPending):
        await table.release(table.bet, TIMEOUT)
    await decide(table.seat, table.bet, Action.REFUNDED_OUTSIDE)
    assert (await table.stands()).state is RoundState.VOID
    assert await table.seat.money() == (0, 0)


async def test_a_rollback_that_is_refused_is_an_incident_of_its_own_bet(
    table: Raising, caplog: pytest.LogCaptureFixture
) -> None:
    await table.act(ACCEPTED)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            with pytest.raises(WalletPending):
                await table.release(table.bet, refused(WalletRefusal.INVALID))
        for answers in ([UNDONE, refused(WalletRefusal.INVALID)], [refused(WalletRefusal.INVALID)]):
            with pytest.raises(WalletPending):
                await table.release(table.bet, *answers)
    assert len(caplog.records) == 2
    await table.release(table.bet, UNDONE)


async def test_a_wallet_that_takes_one_bet_a_round_is_offered_nothing_that_costs(database: Database) -> None:
    table = await Raising(await take_seat(database), several_bets=False).opened()
    waits = await table.stands()
    assert waits.offer is not None
    assert waits.offer.choices == [Choice(action="collect")]
    assert (await table.act())[0] is ActionVerdict.UNKNOWN_CHOICE
    assert (await table.act(chosen=COLLECT))[0] is ActionVerdict.TAKEN
    assert table.calls == []


async def test_a_wallet_that_was_marked_since_refuses_what_was_offered_before(table: Raising) -> None:
    table.money = Table(table.seat, several_bets=False).money
    assert (await table.act())[0] is ActionVerdict.WRONG_STATE
