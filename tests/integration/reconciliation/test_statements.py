"""Reconciliation of statements: what an operator's wallet and our ledger have of each other."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest

from contracts.interventions import Action, InterveneRequest, Intervention
from contracts.reconciliation import IncidentKind, Page, Reconciled
from contracts.rounds import Bet, RoundState, SettleRequest
from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletRequest, WalletVerdict
from operator_wallet.book import Book
from storage import interventions, operator_wallets, reconciliation
from tests.integration.reconciliation.floor import Floor
from tests.integration.wallet.casino import OPENING, STAKE, TOTAL_MS, Player
from tests.integration.wallet.table import TIMEOUT, WON, refused
from tests.support.wallet_settings import set_wallet
from wallet import dialect
from wallet.operator import OperatorSteps, transaction_id
from wallet.operator_http import OperatorWalletConfig, OperatorWallets
from wallet.steps import WalletPending

ROLLED_BACK: Final = refused(WalletRefusal.ROLLED_BACK)


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
    unasked = _body(floor, player, transaction_id=str(uuid4()))
    assert (await floor.casino.wallet.call("bet", unasked)).status_code == 200
    looked = [await _compare(floor) for _ in range(3)]
    assert sum(one.opened for one in looked) == 1
    (incident,) = await floor.incidents_of(unasked["transaction_id"])
    assert incident.finding.kind is IncidentKind.WALLET_DIFFERS
    assert incident.finding.detail["wallet"] == {
        "transaction_id": unasked["transaction_id"],
        "call": "bet",
        "moved": -STAKE,
        "currency": "EUR",
    }
    assert incident.finding.detail["ledger"] is None
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(unasked["transaction_id"])
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
    unasked = _body(floor, player, transaction_id=str(uuid4()))
    assert (await floor.casino.wallet.call("bet", unasked)).status_code == 200
    await floor.casino.wallet.stop()
    looked = await _compare(floor)
    assert len(looked.problems) == 1
    assert floor.casino.operator_id in looked.problems[0]
    assert await floor.incidents_of(unasked["transaction_id"]) == []
    await floor.casino.wallet.start()
    assert (await _compare(floor)).opened == 1


async def test_a_win_refused_for_ever_as_rolled_back_leaves_no_stake_at_the_wallet(
    floor: Floor, player: Player
) -> None:
    bet = player.bet()
    async with _money(floor, {WalletCall.WIN: ROLLED_BACK}) as money:
        await money.reserve(bet)
        void = (await money.settle(SettleRequest(bet=bet, resolution=WON))).view
    assert (void.state, void.failure_code) == (RoundState.VOID, "rolled-back")
    await player.assert_square(void)
    assert (await _compare(floor)).opened == 0


async def test_a_stake_that_the_wallet_keeps_of_a_void_round_is_one_incident_until_it_is_returned(
    floor: Floor, player: Player
) -> None:
    bet = player.bet()
    async with _money(floor, {WalletCall.WIN: ROLLED_BACK, WalletCall.ROLLBACK: ROLLED_BACK}) as money:
        await money.reserve(bet)
        void = (await money.settle(SettleRequest(bet=bet, resolution=WON))).view
    assert void.state is RoundState.VOID
    await _is_an_incident_until_booked(floor, player, bet, moved=-STAKE, net=0)


@pytest.mark.parametrize(
    ("action", "net"), [(Action.PAID_OUTSIDE, WON.win - STAKE), (Action.REFUNDED_OUTSIDE, 0)]
)
async def test_what_was_decided_outside_and_never_booked_is_one_incident_until_it_is(
    floor: Floor, player: Player, action: Action, net: int
) -> None:
    """The decision comes long after the wallet's calls were compared."""
    bet = player.bet()
    async with _money(floor, {WalletCall.WIN: TIMEOUT}) as money:
        await money.reserve(bet)
        with pytest.raises(WalletPending):
            await money.settle(SettleRequest(bet=bet, resolution=WON))
    assert (await _compare(floor)).opened == 0, "the round is open"
    decision = Intervention(intervention_id=str(uuid4()), action=action, reason="a test", actor="key:tests")
    await interventions.intervene(floor.pool, InterveneRequest(bet=bet, intervention=decision))
    await _is_an_incident_until_booked(floor, player, bet, moved=-STAKE, net=net)


async def test_a_wallet_that_is_set_again_is_compared_without_a_gap(floor: Floor, player: Player) -> None:
    """Reconciliation was away for ten minutes. The wallet took something alone, then it was set again."""
    await _compare(floor)
    casino, name = floor.casino, f"statement:{floor.casino.operator_id}"
    mark = await reconciliation.mark(floor.pool, name)
    assert mark is not None
    _, _, position = mark.partition("|")
    away = f"{(datetime.now(UTC) - timedelta(minutes=10)).isoformat()}|{position}"
    assert await reconciliation.move_mark(floor.pool, name, mark, away)
    unasked = _body(floor, player, transaction_id=str(uuid4()))
    with _book(floor, timedelta(minutes=5)) as book:
        book.bet(WalletRequest(call=WalletCall.BET, **unasked))
    await set_wallet(
        casino.settings, casino.operator_id, casino.wallet.url, casino.wallet.secret, total_ms=TOTAL_MS
    )
    assert (await _compare(floor)).opened == 1
    assert len(await floor.incidents_of(unasked["transaction_id"])) == 1


@contextmanager
def _book(floor: Floor, behind: timedelta) -> Iterator[Book]:
    """The wallet's book, by a clock that is slow."""
    behind_ms = behind // timedelta(milliseconds=1)
    book = Book(str(floor.casino.wallet.database), now_ms=lambda: time.time_ns() // 1_000_000 - behind_ms)
    try:
        yield book
    finally:
        book.close()


async def _is_an_incident_until_booked(
    floor: Floor, player: Player, bet: Bet, *, moved: int, net: int
) -> None:
    """The wallet's entries of the round sum up to `moved` instead of `net`, until it books the rest."""
    assert [(await _compare(floor)).opened for _ in range(2)] == [1, 0]
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(f"round:{bet.key.round_id}")
    assert incident.finding.detail["wallet"]["moved"] == moved
    assert incident.finding.detail["ledger"]["moved"] == [net]
    assert incident.resolved_at is None
    call = WalletCall.WIN if net else WalletCall.ROLLBACK
    body = _body(
        floor,
        player,
        transaction_id=transaction_id(bet.key, call),
        round_id=bet.key.round_id,
        bet_transaction_id=transaction_id(bet.key, WalletCall.BET),
        amount=WON.win,
    )
    assert (await floor.casino.wallet.call(call.value, body)).status_code == 200
    await floor.resolve_all()
    (incident,) = await floor.incidents_of(f"round:{bet.key.round_id}")
    assert incident.resolved_at is not None
    assert (await _compare(floor)).opened == 0


@asynccontextmanager
async def _money(floor: Floor, instead: Mapping[WalletCall, WalletAnswer]) -> AsyncIterator[OperatorSteps]:
    """The steps of a round at the wallet. The calls of `instead` never reach it, and get these answers."""
    casino = floor.casino
    clients = OperatorWallets(dialect.load())
    config = OperatorWalletConfig(
        operator_id=casino.operator_id,
        url=casino.wallet.url,
        dialect="croupier",
        secrets=(casino.wallet.secret,),
        local=True,
    )

    async def ask(request: WalletRequest) -> WalletAnswer:
        return instead.get(request.call) or await clients.call(config, request)

    try:
        yield OperatorSteps(floor.pool, ask)
    finally:
        await clients.aclose()


async def _compare(floor: Floor) -> Reconciled:
    """All pages."""
    total, cursor = Reconciled(), None
    while True:
        page = await floor.statements().statements(Page(cursor=cursor))
        total, cursor = total.plus(page), page.cursor
        if cursor is None:
            return total


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
