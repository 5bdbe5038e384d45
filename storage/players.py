"""Players outside of rounds: balances, deposits and withdrawals, and blocks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from contracts.audit import By, Kind
from contracts.movements import WithdrawalView
from contracts.views import BalanceView, DepositView
from storage.audit import entry, recording

BALANCE: Final = "SELECT currency, balance, held FROM accounts WHERE player_key = $1 AND currency = $2"
BALANCES: Final = "SELECT currency, balance, held FROM accounts WHERE player_key = $1 ORDER BY currency"
FACTS: Final = """
    SELECT p.id AS player_key, p.player_id, p.demo, p.blocked, p.created_at,
           NOT p.demo AND EXISTS (
               SELECT 1 FROM operator_wallets w WHERE w.operator_id = p.operator_id) AS at_wallet
    FROM players p WHERE p.operator_id = $1 AND p.player_id = $2 AND p.demo = $3
"""
FIND_PLAYER: Final = "SELECT id FROM players WHERE operator_id = $1 AND player_id = $2 AND demo = $3"
# The statement waits for the player's lock, so that no bet is taken after its answer.
BLOCK: Final = recording(
    "UPDATE players SET blocked = $3 WHERE operator_id = $1 AND player_id = $2 RETURNING id", parameters=3
)
DEPOSIT: Final = recording(
    "SELECT result, available FROM deposit_v1($1, $2, $3, $4, $5, $6)",
    parameters=6,
    when="result = 'deposited'",
)
WITHDRAW: Final = recording(
    "SELECT result, available FROM withdraw_v1($1, $2, $3, $4, $5)", parameters=5, when="result = 'withdrawn'"
)


async def balance(pool: asyncpg.Pool, *, player_key: int, currency: str) -> BalanceView | None:
    row = await pool.fetchrow(BALANCE, player_key, currency)
    return None if row is None else BalanceView(**dict(row))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerFacts:
    """An operator's player. `at_wallet` is whether the player's money is in a wallet of the operator's."""

    player_key: int
    player_id: str
    demo: bool
    blocked: bool
    created_at: datetime
    at_wallet: bool


async def facts(pool: asyncpg.Pool, *, operator_id: str, player_id: str, demo: bool) -> PlayerFacts | None:
    """Returns None where the operator has no such player."""
    row = await pool.fetchrow(FACTS, operator_id, player_id, demo)
    return None if row is None else PlayerFacts(**dict(row))


async def balances(pool: asyncpg.Pool, player_key: int) -> list[BalanceView]:
    """Of each currency that the player has an account in."""
    return [BalanceView(**dict(row)) for row in await pool.fetch(BALANCES, player_key)]


async def find_player(
    pool: asyncpg.Pool, *, operator_id: str, player_id: str, demo: bool = False
) -> int | None:
    """Returns our key of the operator's player, with real money or with demo money."""
    key: int | None = await pool.fetchval(FIND_PLAYER, operator_id, player_id, demo)
    return key


async def block(pool: asyncpg.Pool, *, operator_id: str, player_id: str, blocked: bool, by: By) -> bool:
    """Blocks or unblocks the player, with real money and with demo money. Returns whether the operator has
    such a player."""
    kind = Kind.PLAYER_BLOCKED if blocked else Kind.PLAYER_UNBLOCKED
    noted = entry(kind, by, operator_id=operator_id, subject=player_id)
    return await pool.fetchval(BLOCK, operator_id, player_id, blocked, *noted) is not None


async def deposit(
    pool: asyncpg.Pool,
    *,
    operator_id: str,
    player_id: str,
    player_key: int,
    account_id: int,
    transaction_id: str,
    amount: int,
    currency: str,
    by: By,
) -> DepositView:
    """Moves `amount` (minor units) from the operator's cash account to the player, once per transaction
    id."""
    moved = (transaction_id, amount, currency)
    noted = _movement(Kind.DEPOSIT, by, operator_id, player_id, *moved)
    row = await pool.fetchrow(DEPOSIT, operator_id, player_key, account_id, *moved, *noted)
    return DepositView(**dict(row))


async def withdraw(
    pool: asyncpg.Pool,
    *,
    operator_id: str,
    player_id: str,
    player_key: int,
    transaction_id: str,
    amount: int,
    currency: str,
    by: By,
) -> WithdrawalView:
    """Moves `amount` (minor units) from the player to the operator's cash account, once per transaction id,
    and never out of what open rounds hold."""
    moved = (transaction_id, amount, currency)
    noted = _movement(Kind.WITHDRAWAL, by, operator_id, player_id, *moved)
    row = await pool.fetchrow(WITHDRAW, operator_id, player_key, *moved, *noted)
    return WithdrawalView(**dict(row))


def _movement(
    kind: Kind, by: By, operator_id: str, player_id: str, transaction_id: str, amount: int, currency: str
) -> tuple[str | None, ...]:
    return entry(
        kind,
        by,
        operator_id=operator_id,
        subject=player_id,
        transaction_id=transaction_id,
        amount=amount,
        currency=currency,
    )
