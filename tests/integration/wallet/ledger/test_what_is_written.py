"""What our ledger has written of an operator's wallet stays."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import pytest

from contracts.rounds import Bet
from contracts.wallet import WalletAnswer, WalletCall, WalletRequest, WalletVerdict
from storage import operator_wallets, reconciliation
from tests.integration.wallet.ledger.moves import OPERATOR, stored
from tests.integration.wallet.seats import WalletSeat

ATTEMPT: Final = """
    INSERT INTO wallet_attempts (player_key, round_id, call, transaction_id, verdict, duplicate, sent,
                                 took_us, detail, created_at)
    VALUES ($1, 'r', 'bet', 't', 'unknown', false, true, 1, '', $2) RETURNING id
"""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE wallet_bets SET stake = stake + 1 WHERE player_key = $1",
        "UPDATE wallet_bets SET resolved_at = NULL WHERE player_key = $1",
        "DELETE FROM wallet_bets WHERE player_key = $1",
        "UPDATE wallet_attempts SET code = 'x' WHERE player_key = $1",
        "DELETE FROM wallet_attempts WHERE player_key = $1",
    ],
)
async def test_what_is_written_of_a_wallet_stays(seat: WalletSeat, statement: str) -> None:
    bet = seat.bet()
    await seat.pending(bet)
    await _record_attempt(seat, bet, WalletVerdict.ACCEPTED)
    await seat.record(bet)
    await seat.close(bet)
    with pytest.raises(asyncpg.RestrictViolationError):
        await seat.pool.execute(statement, bet.key.player_key)


@pytest.mark.parametrize("table", ["wallet_bets", "wallet_attempts"])
async def test_tables_of_record_cannot_be_emptied(seat: WalletSeat, table: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await seat.pool.execute(f"TRUNCATE {table} CASCADE")


async def test_an_attempt_says_whether_it_is_the_first_of_its_kind(seat: WalletSeat) -> None:
    bet = seat.bet()
    told = [
        await _record_attempt(seat, bet, verdict)
        for verdict in (WalletVerdict.UNKNOWN, WalletVerdict.REFUSED, WalletVerdict.REFUSED)
    ]
    assert told == [True, True, False]


async def test_a_bet_of_nobody_is_refused_and_leaves_nothing(seat: WalletSeat) -> None:
    for missing in ({"session_id": "nowhere"}, {"account_id": 2**40}):
        with pytest.raises(asyncpg.NoDataFoundError):
            await seat.begin(seat.bet(**missing))
    assert (
        await seat.pool.fetchval(
            "SELECT count(*) FROM wallet_bets WHERE player_key = $1", seat.bet().key.player_key
        )
        == 0
    )


async def test_a_wallet_is_stored_once_and_replaced(seat: WalletSeat) -> None:
    changed = replace(stored(), url="https://elsewhere.example/wallet", calls=4)
    assert await operator_wallets.store(seat.pool, changed)
    assert await operator_wallets.read_all(seat.pool) == [changed]
    assert await operator_wallets.store(seat.pool, stored())
    assert not await operator_wallets.store(seat.pool, replace(stored(), operator_id="nobody"))


async def test_a_wallet_that_is_stored_again_is_compared_from_where_it_was(seat: WalletSeat) -> None:
    name = f"statement:{OPERATOR}"
    before = await reconciliation.mark(seat.pool, name)
    assert before is not None, "it begins with the first wallet"
    assert await operator_wallets.store(seat.pool, replace(stored(), url="https://elsewhere.example/wallet"))
    assert await operator_wallets.store(seat.pool, stored())
    assert await reconciliation.mark(seat.pool, name) == before


async def test_an_attempt_whose_time_and_id_are_in_another_order_is_not_passed_over(seat: WalletSeat) -> None:
    """The interleaving: of two processes, the one that took the first id writes the later time."""
    until = datetime.now(UTC) - timedelta(hours=1)
    later, earlier = [
        await seat.pool.fetchval(ATTEMPT, seat.bet().key.player_key, until + timedelta(milliseconds=ms))
        for ms in (1, -1)
    ]
    assert later < earlier
    assert await reconciliation.attempts(seat.pool, after=later - 1, before=until) == []
    found = await reconciliation.attempts(seat.pool, after=later - 1, before=until + timedelta(hours=1))
    assert [attempt.position for attempt in found[:2]] == [later, earlier]


async def _record_attempt(seat: WalletSeat, bet: Bet, verdict: WalletVerdict) -> bool:
    request = WalletRequest(
        call=WalletCall.WIN,
        operator_id=OPERATOR,
        player_id=bet.player_id,
        session_id=bet.session_id,
        currency=bet.currency,
        transaction_id="t",
        amount=5,
    )
    answer = WalletAnswer(verdict=verdict, code="x", detail="long " * 1_000)
    return await operator_wallets.record_attempt(seat.pool, bet.key, request, answer, took_us=7)
