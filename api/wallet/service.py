"""Players' money: balances, deposits, withdrawals and statements."""

import asyncpg

from contracts.audit import By
from contracts.movements import StatementEntry, StatementFilter, WithdrawalView
from contracts.sessions import SessionClaims
from contracts.views import BalanceView, DepositView
from contracts.wallet import WalletVerdict
from storage import players, sessions, statement
from wallet.directory import WalletDirectory


class NoAccount(Exception):
    """The session's player has no account in our ledger."""


class WalletSilent(Exception):
    """The operator's own wallet did not say what its player has. The text is the code of its answer."""


class WalletService:
    """Balances, deposits, withdrawals and statements; all but `available` of our own ledger alone."""

    def __init__(self, pool: asyncpg.Pool, wallets: WalletDirectory) -> None:
        self._pool = pool
        self._wallets = wallets

    def kept_elsewhere(self, operator_id: str) -> bool:
        """Returns whether the operator's own wallet has its players' money."""
        return self._wallets.keeps_money_of(operator_id)

    def in_our_ledger(self, claims: SessionClaims) -> bool:
        """Returns whether our ledger has the session's money, as it always has demo money."""
        return claims.demo or not self.kept_elsewhere(claims.operator_id)

    async def find(self, *, operator_id: str, player_id: str, demo: bool = False) -> int | None:
        """Returns our own key of the operator's player, with real money or with demo money."""
        return await players.find_player(self._pool, operator_id=operator_id, player_id=player_id, demo=demo)

    async def available(self, claims: SessionClaims) -> int:
        """Returns what the session's player can bet, in minor units: the balance in the operator's own wallet
        where there is one, in our ledger otherwise, and always there for demo money. Raises NoAccount, and
        within BALANCE_LIMIT_S WalletSilent."""
        own = await players.balance(self._pool, player_key=claims.player_key, currency=claims.currency)
        if own is None:
            raise NoAccount
        if self.in_our_ledger(claims):
            return own.available
        answer = await self._wallets.balance(
            operator_id=claims.operator_id,
            player_id=claims.player_id,
            session_id=claims.session_id,
            currency=claims.currency,
        )
        if answer.verdict is not WalletVerdict.ACCEPTED or answer.balance is None:
            raise WalletSilent(answer.code)
        return answer.balance

    async def balance(self, *, operator_id: str, player_id: str, currency: str) -> BalanceView | None:
        key = await self.find(operator_id=operator_id, player_id=player_id)
        if key is None:
            return None
        return await players.balance(self._pool, player_key=key, currency=currency)

    async def deposit(
        self, *, operator_id: str, player_id: str, transaction_id: str, amount: int, currency: str, by: By
    ) -> DepositView:
        """Once per transaction id. The player and the account are made when they are missing."""
        player_key, account_id = await sessions.ensure_account(
            self._pool, operator_id=operator_id, player_id=player_id, currency=currency
        )
        return await players.deposit(
            self._pool,
            operator_id=operator_id,
            player_id=player_id,
            player_key=player_key,
            account_id=account_id,
            transaction_id=transaction_id,
            amount=amount,
            currency=currency,
            by=by,
        )

    async def withdraw(
        self, *, operator_id: str, player_id: str, transaction_id: str, amount: int, currency: str, by: By
    ) -> WithdrawalView | None:
        """Once per transaction id; None when there is no such player."""
        player_key = await self.find(operator_id=operator_id, player_id=player_id)
        if player_key is None:
            return None
        return await players.withdraw(
            self._pool,
            operator_id=operator_id,
            player_id=player_id,
            player_key=player_key,
            transaction_id=transaction_id,
            amount=amount,
            currency=currency,
            by=by,
        )

    async def statement(
        self, wanted: StatementFilter, *, before: int | None, limit: int
    ) -> tuple[list[StatementEntry], int | None]:
        """At most `limit` entries, newest first, and where the next page begins."""
        return await statement.page(self._pool, wanted, before=before, limit=limit)
