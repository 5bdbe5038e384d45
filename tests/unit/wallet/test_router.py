"""MoneyRouter picks who keeps a round's money, each time anew."""

from dataclasses import replace

import asyncpg
import pytest

from contracts.rounds import Bet, RoundKey
from contracts.wallet import WalletAnswer, WalletRequest
from wallet.ledger import LedgerSteps
from wallet.operator import OperatorSteps
from wallet.router import MoneyRouter
from wallet.steps import MoneySteps


def bet_at(operator_id: str) -> Bet:
    return Bet(
        key=RoundKey(operator_id=operator_id, player_key=1, round_id="round-1"),
        player_id="player-1",
        account_id=1,
        session_id="session-1",
        game_id="reels",
        game_version="1.0.0",
        currency="EUR",
        stake=100,
        mode="base",
        choice=None,
        request_id="request-1",
    )


async def _never(request: WalletRequest) -> WalletAnswer:
    raise AssertionError


@pytest.fixture
def ledger(pool: asyncpg.Pool) -> LedgerSteps:
    return LedgerSteps(pool)


@pytest.fixture
def pool() -> asyncpg.Pool:
    """Nobody asks it."""
    return None


def test_it_picks_the_ledger_for_an_operator_without_a_wallet(ledger: LedgerSteps) -> None:
    assert MoneyRouter(ledger, {}).of(bet_at("operator-1")) is ledger


def test_it_picks_the_operators_own_wallet_from_the_moment_that_there_is_one(
    ledger: LedgerSteps, pool: asyncpg.Pool
) -> None:
    at_operators: dict[str, MoneySteps] = {}
    router = MoneyRouter(ledger, at_operators)
    assert router.of(bet_at("operator-1")) is ledger
    at_operators["operator-1"] = OperatorSteps(pool, _never)
    assert router.of(bet_at("operator-1")) is at_operators["operator-1"]
    assert router.of(bet_at("operator-2")) is ledger


def test_it_picks_the_ledger_for_a_demo_round_whatever_the_operator_has(
    ledger: LedgerSteps, pool: asyncpg.Pool
) -> None:
    router = MoneyRouter(ledger, {"operator-1": OperatorSteps(pool, _never)})
    assert router.of(replace(bet_at("operator-1"), demo=True)) is ledger
