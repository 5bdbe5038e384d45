"""Our own ledger as a wallet: each call is one transaction of one database function."""

import asyncpg

from contracts.actions import ActionVerdict, PlayerAction
from contracts.rounds import Bet, Resolution
from contracts.views import RoundView, Settlement
from storage import rounds
from wallet.interface import WalletConflict


class LedgerWallet:
    """The Wallet over PostgreSQL. Errors of the connection pass through: their outcome is unknown, and
    the caller repeats the call."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def reserve(self, bet: Bet, *, within_s: float | None = None) -> RoundView:
        try:
            return await rounds.reserve(self._pool, bet)
        except asyncpg.NoDataFoundError as missing:
            raise WalletConflict(str(missing)) from None

    async def settle(
        self, bet: Bet, resolution: Resolution | None, *, within_s: float | None = None
    ) -> Settlement:
        if resolution is None:
            # Our ledger never keeps a result apart from its round's end.
            raise WalletConflict("the round has no result on record")
        try:
            return await rounds.settle(
                self._pool, bet.key, resolution.outcome, resolution.win, resolution.actions
            )
        except asyncpg.NoDataFoundError as missing:
            raise WalletConflict(str(missing)) from None

    async def open(self, bet: Bet, resolution: Resolution) -> RoundView:
        try:
            return await rounds.open_round(self._pool, bet.key, resolution)
        except asyncpg.NoDataFoundError as missing:
            raise WalletConflict(str(missing)) from None

    async def act(self, bet: Bet, action: PlayerAction) -> tuple[ActionVerdict, RoundView | None]:
        return await rounds.take_action(self._pool, bet.key, action)

    async def release(self, bet: Bet, *, failure_code: str, failure_detail: str) -> RoundView:
        try:
            return await rounds.release(self._pool, bet, failure_code, failure_detail)
        except (asyncpg.NoDataFoundError, asyncpg.ForeignKeyViolationError) as missing:
            # There is nobody to release for, so nothing was ever held.
            raise WalletConflict(str(missing)) from None
