"""Reconciliation of statements: what an operator's wallet and our ledger have of each other."""

from typing import Any
from uuid import uuid4

from contracts.reconciliation import IncidentKind, Page
from contracts.rounds import RoundState
from contracts.wallet import WalletAnswer, WalletCall, WalletRequest, WalletVerdict
from storage import operator_wallets
from tests.integration.reconciliation.floor import Floor
from tests.integration.wallet.casino import OPENING, STAKE, Player
from wallet.operator import transaction_id


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
