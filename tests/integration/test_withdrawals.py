"""Withdrawals: once per transaction id, never out of a hold, and in no race more than there is."""

import asyncio
from collections import Counter

import asyncpg
import pytest

from contracts.rounds import RoundState
from storage import players
from storage.database import Database
from tests.support.acting import BY
from tests.support.ledger import take_seat

AT_ONCE = 20


async def test_a_withdrawal_leaves_the_players_account_for_the_cash_desk(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    assert await seat.withdraw(300, "w-1") == ("withdrawn", 700)
    assert await seat.money() == (700, 0)
    deposit, withdrawal = await seat.transfers()
    assert (withdrawal["kind"], withdrawal["reference"], withdrawal["amount"]) == ("withdrawal", "w-1", 300)
    assert withdrawal["debit_account"] == seat.session.account_id == deposit["credit_account"]
    assert withdrawal["credit_account"] == deposit["debit_account"]


async def test_a_repeated_withdrawal_answers_what_the_first_one_left(database: Database) -> None:
    seat = await take_seat(database, balance=1_000)
    await seat.withdraw(300, "w-1")
    await seat.withdraw(700, "w-2")
    assert await seat.withdraw(300, "w-1") == ("replayed", 700)
    assert await seat.withdraw(301, "w-1") == ("reused", 700)
    assert await seat.money() == (0, 0)


async def test_what_an_open_round_holds_cannot_be_withdrawn(database: Database) -> None:
    seat = await take_seat(database, balance=150)
    bet = seat.bet(stake=100)
    await seat.reserve(bet)
    assert await seat.withdraw(51, "w-1") == ("insufficient-funds", 50)
    assert await seat.withdraw(50, "w-2") == ("withdrawn", 0)
    assert await seat.money() == (100, 100)
    assert (await seat.settle(bet, win=0)).balance == 0


async def test_a_refused_withdrawal_is_not_remembered(database: Database) -> None:
    seat = await take_seat(database, balance=10)
    assert await seat.withdraw(11, "w-1") == ("insufficient-funds", 10)
    await seat.deposit(1)
    assert await seat.withdraw(11, "w-1") == ("withdrawn", 0)


async def test_an_id_names_a_deposit_or_a_withdrawal_and_never_both(database: Database) -> None:
    seat = await take_seat(database)
    await seat.deposit(500, "in")
    assert await seat.withdraw(500, "in") == ("reused", 500)
    await seat.withdraw(100, "out")
    assert await seat.deposit(100, "out") == ("reused", 400)
    assert await seat.money() == (400, 0)


async def test_each_wallet_is_withdrawn_from_alone(database: Database) -> None:
    euros = await take_seat(database, balance=500)
    session = euros.session
    yen = await take_seat(
        database, operator_id=session.operator_id, player_id=session.player_id, currency="JPY", balance=70
    )
    assert await yen.withdraw(71) == ("insufficient-funds", 70)
    assert await yen.withdraw(70) == ("withdrawn", 0)
    assert await euros.money() == (500, 0)


async def test_another_operator_can_withdraw_nothing(database: Database) -> None:
    seat, stranger = await take_seat(database, balance=600), await take_seat(database)
    await seat.withdraw(100, "w-1")
    for transaction_id in ("w-1", "w-2"):
        with pytest.raises(asyncpg.NoDataFoundError):
            await players.withdraw(
                database.pool,
                operator_id=stranger.session.operator_id,
                player_id=seat.session.player_id,
                player_key=seat.session.player_key,
                transaction_id=transaction_id,
                amount=100,
                currency="EUR",
                by=BY,
            )
    assert await seat.money() == (500, 0)


@pytest.mark.parametrize("amount", [0, -1])
async def test_an_amount_that_moves_nothing_or_the_wrong_way_is_refused(
    database: Database, amount: int
) -> None:
    seat = await take_seat(database, balance=500)
    with pytest.raises(asyncpg.CheckViolationError):
        await seat.withdraw(amount)
    assert await seat.money() == (500, 0)


async def test_of_twenty_withdrawals_at_once_exactly_those_succeed_that_there_is_money_for(
    database: Database,
) -> None:
    """The interleaving: all read the balance before any of them takes of it."""
    seat = await take_seat(database, balance=350)
    answers = await asyncio.gather(*(seat.withdraw(100) for _ in range(AT_ONCE)))
    assert Counter(result for result, _ in answers) == {"withdrawn": 3, "insufficient-funds": 17}
    assert {available for result, available in answers if result != "withdrawn"} == {50}
    assert await seat.money() == (50, 0)


async def test_twenty_repeats_of_one_withdrawal_at_once_have_one_effect(database: Database) -> None:
    seat = await take_seat(database, balance=350)
    answers = await asyncio.gather(*(seat.withdraw(100, "once") for _ in range(AT_ONCE)))
    assert Counter(answers) == {("withdrawn", 250): 1, ("replayed", 250): 19}


async def test_withdrawals_and_stakes_at_once_never_take_the_same_money(database: Database) -> None:
    """The interleaving: a reserve holds what a withdrawal has just seen as available."""
    first = await take_seat(database, balance=300)
    session = first.session
    seats = [
        await take_seat(
            database, operator_id=session.operator_id, player_id=session.player_id, game_id=f"game-{n}"
        )
        for n in range(AT_ONCE // 2)
    ]
    withdrawals, views = await asyncio.gather(
        asyncio.gather(*(first.withdraw(100) for _ in range(AT_ONCE // 2))),
        asyncio.gather(*(seat.reserve(seat.bet(stake=100)) for seat in seats)),
    )
    withdrawn = sum(result == "withdrawn" for result, _ in withdrawals)
    held = sum(view.state is RoundState.PENDING for view in views)
    assert withdrawn + held == 3
    assert await first.money() == (300 - 100 * withdrawn, 100 * held)


async def test_one_id_for_a_deposit_and_a_withdrawal_at_once_moves_one_of_them(database: Database) -> None:
    """The interleaving: each looks for the id before the other has recorded it."""
    for _ in range(5):
        seat = await take_seat(database, balance=100)
        answers = await asyncio.gather(
            *(seat.deposit(100, "both") if n % 2 else seat.withdraw(100, "both") for n in range(AT_ONCE))
        )
        results = Counter(result for result, _ in answers)
        assert results["replayed"] == 9
        assert results["reused"] == 10
        expected = (200, 0) if results["deposited"] else (0, 0)
        assert results["deposited"] + results["withdrawn"] == 1
        assert await seat.money() == expected


async def test_twenty_rollbacks_at_once_give_the_stake_back_once(database: Database) -> None:
    """The interleaving: all find the round open, and all give its stake back."""
    seat = await take_seat(database, balance=1_000)
    bet = seat.bet()
    await seat.reserve(bet)
    views = await asyncio.gather(*(seat.release(bet) for _ in range(AT_ONCE)))
    assert len(set(map(repr, views))) == 1
    assert await seat.money() == (1_000, 0)
    assert [event["type"] for event in await seat.events()] == ["round.void"]


async def test_of_twenty_rounds_at_once_exactly_those_are_held_that_there_is_money_for(
    database: Database,
) -> None:
    first = await take_seat(database, balance=730)
    session = first.session
    seats = [
        await take_seat(
            database, operator_id=session.operator_id, player_id=session.player_id, game_id=f"game-{n}"
        )
        for n in range(AT_ONCE)
    ]
    views = await asyncio.gather(*(seat.reserve(seat.bet(stake=100)) for seat in seats))
    assert Counter(view.failure_code for view in views) == {None: 7, "insufficient-funds": 13}
    assert await first.money() == (730, 700)
