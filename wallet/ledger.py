"""MoneySteps over our own ledger: each step is one transaction of one database function."""

import asyncpg

from contracts.actions import ActionVerdict, ActRequest
from contracts.rounds import Bet, OpenRequest, ReleaseRequest, SettleRequest
from contracts.views import RoundView, Settlement
from storage import rounds
from wallet.retired_seeds import RetiredSeeds
from wallet.steps import MoneySteps, WalletConflict


class LedgerSteps(MoneySteps):
    """For operators that have no wallet of their own, and for demo rounds."""

    def __init__(self, pool: asyncpg.Pool, seeds: RetiredSeeds | None = None) -> None:
        self._pool = pool
        self._seeds = seeds or RetiredSeeds(pool)

    async def reserve(self, bet: Bet, *, within_s: float | None = None) -> RoundView:
        try:
            try:
                return await rounds.reserve(self._pool, bet)
            except asyncpg.RestrictViolationError as refused:
                await self._seeds.replace(bet, refused)
            return await rounds.reserve(self._pool, bet)
        except asyncpg.NoDataFoundError as missing:
            raise WalletConflict(str(missing)) from None

    async def open(self, request: OpenRequest) -> RoundView:
        try:
            return await rounds.open_round(self._pool, request.bet.key, request.resolution)
        except asyncpg.NoDataFoundError as missing:
            raise WalletConflict(str(missing)) from None

    async def act(
        self, request: ActRequest, *, within_s: float | None = None
    ) -> tuple[ActionVerdict, RoundView | None]:
        return await rounds.take_action(self._pool, request.bet.key, request.action)

    async def settle(self, request: SettleRequest, *, within_s: float | None = None) -> Settlement:
        resolution = request.resolution
        if resolution is None:
            # Our ledger never keeps a result apart from its round's end.
            raise WalletConflict("the round has no result on record")
        try:
            return await rounds.settle(
                self._pool, request.bet.key, resolution.outcome, resolution.win, resolution.actions
            )
        except asyncpg.NoDataFoundError as missing:
            raise WalletConflict(str(missing)) from None

    async def release(self, request: ReleaseRequest) -> RoundView:
        try:
            return await rounds.release(self._pool, request.bet, request.failure_code, request.failure_detail)
        except (asyncpg.NoDataFoundError, asyncpg.ForeignKeyViolationError) as missing:
            # Without a player or an account nothing was ever held.
            raise WalletConflict(str(missing)) from None
