"""Over HTTP: withdrawals with holds, statements page by page, and currencies of 0, 2, 3 and 8 decimals."""

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.wallet.schemas import StatementPage
from contracts.currencies import exponent
from storage import rounds
from tests.e2e.parties import Gateway, Operator, Player, checked_problem, every_page


async def withdraw(
    player: Player, amount: int, transaction_id: str | None = None, currency: str | None = None
) -> httpx.Response:
    body = {
        "transaction_id": transaction_id or uuid4().hex,
        "amount": {"amount": amount, "currency": currency or player.claims.currency},
    }
    return await player.operator.call("POST", f"/players/{player.player_id}/withdrawals", json=body)


async def statement(player: Player, **filters: Any) -> list[dict[str, Any]]:
    """Every entry that passes the filters, page after page."""
    path = f"/players/{player.player_id}/statement"
    return await every_page(lambda cursor: player.operator.call("GET", path, params={**filters, **cursor}))


async def test_a_withdrawal_is_paid_out_once(player: Player) -> None:
    first = await withdraw(player, 4_000, "w-1")
    assert first.status_code == 201
    assert first.json() == {"transaction_id": "w-1", "balance": {"amount": 6_000, "currency": "EUR"}}
    await player.deposit(1)

    again = await withdraw(player, 4_000, "w-1")

    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.content == first.content
    assert await player.balance() == 6_001


@pytest.mark.parametrize(("amount", "currency"), [(501, "EUR"), (500, "USD")])
async def test_an_id_used_again_for_another_withdrawal_is_refused(
    player: Player, amount: int, currency: str
) -> None:
    await withdraw(player, 500, "w-1")
    checked_problem(await withdraw(player, amount, "w-1", currency), 422, "id-reused")
    assert await player.balance() == 9_500


async def test_an_id_is_a_deposits_or_a_withdrawals(player: Player) -> None:
    await player.deposit(500, "t-1")
    checked_problem(await withdraw(player, 500, "t-1"), 422, "id-reused")
    await withdraw(player, 500, "t-2")
    checked_problem(await player.deposit(500, "t-2"), 422, "id-reused")
    assert await player.balance() == 10_000


async def test_a_hold_cannot_be_withdrawn_and_the_answer_has_the_true_balance(
    gateway: Gateway, player: Player
) -> None:
    bet = player.stored_bet(uuid4().hex)
    await rounds.reserve(gateway.database.pool, bet)
    try:
        refused = checked_problem(await withdraw(player, 9_901), 402, "insufficient-funds")
        assert refused["balance"] == {"amount": 9_900, "currency": "EUR"}
        assert (await withdraw(player, 9_900)).status_code == 201
    finally:
        await rounds.release(gateway.database.pool, bet, "round-cancelled", "")
    assert await player.balance() == 100


async def test_a_withdrawal_from_a_wallet_that_was_never_opened_finds_nothing_in_it(player: Player) -> None:
    refused = checked_problem(await withdraw(player, 1, currency="USD"), 402, "insufficient-funds")
    assert refused["balance"] == {"amount": 0, "currency": "USD"}


async def test_a_withdrawal_of_nobody_is_not_found(
    player: Player, operator: Operator, rival: Operator
) -> None:
    body = {"transaction_id": "w-1", "amount": {"amount": 1, "currency": "EUR"}}
    for stranger in (operator, rival):
        unknown = "nobody" if stranger is operator else player.player_id
        response = await stranger.call("POST", f"/players/{unknown}/withdrawals", json=body)
        checked_problem(response, 404, "not-found")
    assert await player.balance() == 10_000


async def test_twenty_withdrawals_at_once_pay_out_what_there_is(operator: Operator) -> None:
    player = await operator.open_session(balance=750)
    responses = await asyncio.gather(*(withdraw(player, 100) for _ in range(20)))
    assert Counter(response.status_code for response in responses) == {201: 7, 402: 13}
    assert await player.balance() == 50


@pytest.mark.parametrize("amount", [0, -1, 1.0, "1", 2**53, None, True])
async def test_an_amount_that_is_none_is_refused(player: Player, amount: object) -> None:
    checked_problem(await withdraw(player, amount), 422, "invalid")  # type: ignore[arg-type]
    assert await player.balance() == 10_000


async def test_a_statement_has_every_posting_newest_first(operator: Operator) -> None:
    player = await operator.open_session()
    await player.deposit(1_000, "in")
    played = await player.played(round_id="r-1")
    await withdraw(player, 300, "out")

    entries = await statement(player, limit=1)

    moved = [(e["kind"], e["reference"], e["amount"]["amount"]) for e in reversed(entries)]
    win = [("win", "r-1", played["win"]["amount"])] if played["win"]["amount"] else []
    assert moved == [("deposit", "in", 1_000), ("stake", "r-1", -100), *win, ("withdrawal", "out", -300)]
    assert [e["position"] for e in entries] == list(range(len(entries), 0, -1))
    balance = 0
    for entry in reversed(entries):
        balance += entry["amount"]["amount"]
        assert entry["balance"] == {"amount": balance, "currency": "EUR"}
    assert balance == await player.balance()


async def test_a_statement_is_of_one_wallet_or_of_all(player: Player) -> None:
    await player.deposit(7, "yen", currency="JPY")
    assert [(e["reference"], e["balance"]) for e in await statement(player, currency="JPY")] == [
        ("yen", {"amount": 7, "currency": "JPY"})
    ]
    assert len(await statement(player, currency="EUR")) == 1
    assert [e["amount"]["currency"] for e in await statement(player)] == ["JPY", "EUR"]
    assert await statement(player, currency="USD") == []


async def test_a_statement_is_found_by_time(operator: Operator) -> None:
    player = await operator.open_session()
    for number in range(5):
        await player.deposit(1 + number, f"t-{number}")
        await asyncio.sleep(0.002)  # times are told in milliseconds
    at = [entry["at"] for entry in reversed(await statement(player))]
    found = await statement(player, **{"from": at[1], "to": at[3], "limit": 1})
    assert [entry["reference"] for entry in found] == ["t-2", "t-1"]
    path = f"/players/{player.player_id}/statement"
    checked_problem(await operator.call("GET", path, params={"from": "yesterday"}), 422, "invalid")
    checked_problem(await operator.call("GET", path, params={"cursor": "x"}), 422, "invalid")


async def test_a_statement_is_its_operators_own(player: Player, rival: Operator) -> None:
    response = await rival.call("GET", f"/players/{player.player_id}/statement")
    checked_problem(response, 404, "not-found")
    response = await player.operator.call("GET", f"/players/{player.player_id}/statement")
    StatementPage.model_validate_json(response.content)


@pytest.mark.parametrize("currency", ["JPY", "EUR", "BHD", "BTC"])
async def test_a_wallet_of_any_known_currency_is_played_from(operator: Operator, currency: str) -> None:
    assert exponent(currency) in (0, 2, 3, 8)
    player = await operator.open_session(currency=currency, balance=1_000)
    played = await player.played(stake=100)
    assert {played[name]["currency"] for name in ("stake", "win", "balance")} == {currency}
    left = 900 + played["win"]["amount"]
    assert played["balance"] == {"amount": left, "currency": currency}
    paid = await withdraw(player, left)
    assert paid.json()["balance"] == {"amount": 0, "currency": currency}
    assert sum(entry["amount"]["amount"] for entry in await statement(player)) == 0


async def test_a_bitcoin_balance_may_be_as_large_as_every_coin_there_is(operator: Operator) -> None:
    player = await operator.open_session(currency="BTC")
    every_coin = 21_000_000 * 10**8
    assert (await player.deposit(every_coin)).status_code == 201
    assert (await withdraw(player, every_coin)).json()["balance"]["amount"] == 0


@pytest.mark.parametrize("currency", ["XXX", "ABC", "EURO", "eur", "BTC2"])
async def test_an_unknown_currency_is_refused_everywhere(player: Player, currency: str) -> None:
    operator, path = player.operator, f"/players/{player.player_id}"
    books = await operator.books()
    body = {"player_id": player.player_id, "game_id": "dice", "currency": currency}
    for response in (
        await operator.call("POST", "/sessions", json=body),
        await player.deposit(1, currency=currency),
        await withdraw(player, 1, currency=currency),
        await operator.call("GET", f"{path}/balance", params={"currency": currency}),
        await operator.call("GET", f"{path}/statement", params={"currency": currency}),
    ):
        checked_problem(response, 422, "invalid")
    assert await operator.books() == books


async def test_each_currency_of_a_player_is_a_wallet_of_its_own(operator: Operator) -> None:
    euros = await operator.open_session(balance=100)
    yen = await operator.open_session(euros.player_id, currency="JPY", game_id="fruit-lines", balance=50)
    checked_problem(await withdraw(yen, 51), 402, "insufficient-funds")
    checked_problem(await yen.bet(stake=100), 402, "insufficient-funds")
    assert (await euros.balance(), await yen.balance()) == (100, 50)
