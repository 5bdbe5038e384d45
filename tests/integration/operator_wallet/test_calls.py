"""The five calls of the reference wallet over HTTP, and every refusal."""

import asyncio
from uuid import uuid4

from tests.integration.operator_wallet.calls import FUNDS, refused, said
from tests.support.operator_wallet import OPERATOR, RunningWallet, bet, rollback, subject, win


async def test_a_round_from_authenticate_to_win(wallet: RunningWallet, player: str) -> None:
    asked = subject(player_id=player)
    standing = {"balance": FUNDS, "currency": "EUR", "transaction_id": None, "duplicate": False}
    assert said(await wallet.call("authenticate", asked)) == (200, standing)
    assert said(await wallet.call("balance", asked)) == (200, standing)
    stake = bet(100, player_id=player)
    status, body = said(await wallet.call("bet", stake))
    number = body.pop("transaction_id")
    assert (status, body) == (200, {"balance": FUNDS - 100, "currency": "EUR", "duplicate": False})
    assert number == str(wallet.book.statement(transaction_id=stake["transaction_id"])[0].number)
    assert (await wallet.call("win", win(stake, 250))).json()["balance"] == FUNDS + 150
    assert (await wallet.call("bet", stake)).json() == {
        "balance": FUNDS + 150,
        "currency": "EUR",
        "transaction_id": number,
        "duplicate": True,
    }


async def test_a_rollback_with_and_without_its_bet(wallet: RunningWallet, player: str) -> None:
    stake = bet(100, player_id=player)
    await wallet.call("bet", stake)
    assert (await wallet.call("rollback", rollback(stake))).json()["balance"] == FUNDS
    never = bet(100, player_id=player)
    assert (await wallet.call("rollback", rollback(never))).json()["balance"] == FUNDS
    assert said(await wallet.call("bet", never)) == (409, refused("rolled-back", FUNDS))


async def test_a_rollback_with_a_wrong_amount_uses_the_bets(wallet: RunningWallet, player: str) -> None:
    stake = bet(100, player_id=player)
    await wallet.call("bet", stake)
    assert (await wallet.call("rollback", rollback(stake, amount=9_999))).json()["balance"] == FUNDS


async def test_every_refusal_has_its_status_and_code(wallet: RunningWallet, player: str) -> None:
    taken, won, undone = (bet(100, player_id=player) for _ in range(3))
    for stake in (taken, won, undone):
        await wallet.call("bet", stake)
    await wallet.call("win", win(won, 0))
    await wallet.call("rollback", rollback(undone))
    left = FUNDS - 200
    cases = [
        ("bet", bet(FUNDS, player_id=player), 402, "insufficient-funds"),
        ("win", win(bet(player_id=player)), 404, "unknown-transaction"),
        ("bet", {**taken, "amount": 1}, 409, "id-reused"),
        ("win", win(undone), 409, "rolled-back"),
        ("rollback", rollback(won), 409, "already-won"),
        ("bet", bet(player_id=player, currency="USD"), 422, "currency-mismatch"),
    ]
    for call, body, status, code in cases:
        assert said(await wallet.call(call, body)) == (status, refused(code, left)), (call, code)
    wallet.book.block_player(OPERATOR, player, blocked=True)
    assert said(await wallet.call("bet", bet(player_id=player))) == (403, refused("player-blocked", left))
    session = uuid4().hex
    wallet.book.end_session(OPERATOR, session)
    late = bet(player_id=player, session_id=session)
    assert said(await wallet.call("bet", late)) == (401, refused("session-expired", left))
    assert (await wallet.call("win", win(taken, 100, session_id=session))).status_code == 200
    assert wallet.balance(player) == left + 100


async def test_ten_bets_and_a_hundred_repeats_at_once(wallet: RunningWallet, player: str) -> None:
    stakes = [bet(100, player_id=player) for _ in range(10)]
    await asyncio.gather(*(wallet.call("bet", stake) for stake in stakes))
    assert wallet.balance(player) == FUNDS - 1_000
    one = bet(100, player_id=player)
    answers = await asyncio.gather(*(wallet.call("bet", one) for _ in range(100)))
    assert [answer.json()["duplicate"] for answer in answers].count(False) == 1
    assert wallet.balance(player) == FUNDS - 1_100
