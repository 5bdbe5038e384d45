"""Which operators have a wallet of their own: read from the database, and kept fresh while a program runs."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

import asyncpg

from contracts.wallet import WalletAnswer, WalletCall, WalletRequest
from security.keyring import Keyring, UnknownKey
from security.sealing import SealBroken, TextSealer
from storage import operator_wallets as stored
from storage.database import AWAY
from storage.operator_wallets import StoredWallet
from wallet.codec import unknown
from wallet.dialect import Dialect, Limits
from wallet.operator import LONGEST_CALL_S, Ask, OperatorSteps
from wallet.operator_http import OperatorWalletConfig, OperatorWallets
from wallet.retired_seeds import RetiredSeeds
from wallet.sessions import Authenticating

# How long a change of an operator's wallet may stay unknown to a program.
REFRESH_S: Final = 5.0
# How long the read of a balance waits for the wallet.
BALANCE_LIMIT_S: Final = 2.0
# One call in so many may be the read of a balance: the others are for money.
BALANCE_SHARE: Final = 4
# The version of Standard Webhooks that signs by a shared secret.
SHARED_SECRET: Final = "v1"  # noqa: S105 - a version, no secret

log = logging.getLogger(__name__)


class WalletVault:
    """Seals the secrets that sign calls of an operator's wallet, bound to their operator."""

    def __init__(self, keyring: Keyring) -> None:
        self._sealer = TextSealer(keyring.payload)

    def seal(self, operator_id: str, secrets: Sequence[str]) -> str:
        return self._sealer.seal(json.dumps(list(secrets)).encode(), bound_to=_bound_to(operator_id))

    def open(self, operator_id: str, sealed_secrets: str) -> tuple[str, ...]:
        """Raises SealBroken or UnknownKey."""
        return tuple(json.loads(self._sealer.open(sealed_secrets, bound_to=_bound_to(operator_id))))


class WalletDirectory:
    """The operators' own wallets. `wallets` holds the OperatorSteps of each, and changes in place."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        vault: WalletVault,
        dialects: Mapping[str, Dialect],
        clients: OperatorWallets,
        seeds: RetiredSeeds | None = None,
    ) -> None:
        self._pool = pool
        self._seeds = seeds
        self._vault = vault
        self._dialects = dialects
        self._clients = clients
        self._known: dict[str, StoredWallet] = {}
        self._balances: dict[str, _BalanceCalls] = {}
        self.wallets: dict[str, OperatorSteps] = {}

    def keeps_money_of(self, operator_id: str) -> bool:
        """Returns whether the money of the operator's players is in a wallet of its own."""
        return operator_id in self.wallets

    async def balance(
        self, *, operator_id: str, player_id: str, session_id: str, currency: str
    ) -> WalletAnswer:
        """Asks the operator's own wallet, which must be there, for its player's balance. There is always an
        answer, after BALANCE_LIMIT_S seconds at the latest."""
        request = WalletRequest(
            call=WalletCall.BALANCE,
            operator_id=operator_id,
            player_id=player_id,
            session_id=session_id,
            currency=currency,
        )
        return await self._balances[operator_id].ask(request)

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Reads the stored wallets again every REFRESH_S seconds while the block runs. Raises what the first
        reading raises; later ones are repeated. At the end the clients close, after their calls."""
        await self.refresh()
        refreshing = asyncio.create_task(self._keep_fresh())
        try:
            yield
        finally:
            refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await refreshing
            await self._clients.aclose()

    async def refresh(self) -> None:
        """Reads the stored wallets. A wallet that cannot be used stays its operator's wallet and answers
        nothing, because its players' money is not in our ledger."""
        found = await stored.read_all(self._pool)
        for unset in self._known.keys() - {wallet.operator_id for wallet in found}:
            # No round of its is under way there: unset_operator_wallet_v1 sees to it.
            del self._known[unset], self.wallets[unset]
        for wallet in found:
            if self._known.get(wallet.operator_id) != wallet:
                self._known[wallet.operator_id] = wallet
                ask, calls = self._ask(wallet)
                self._balances[wallet.operator_id] = _BalanceCalls(
                    ask, permits=max(1, calls // BALANCE_SHARE)
                )
                self.wallets[wallet.operator_id] = self._steps(wallet, ask)

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.refresh()
            except AWAY as error:
                log.warning("operators' wallets cannot be read and stay as before: %s", type(error).__name__)

    def _ask(self, wallet: StoredWallet) -> tuple[Ask, int]:
        """Returns the call of the wallet, and how many calls may be under way at once."""
        try:
            secrets = self._vault.open(wallet.operator_id, wallet.sealed_secrets)
            config = client_config(wallet, secrets, self._dialects)
        except (ValueError, SealBroken, UnknownKey) as reason:
            log.error("the wallet of %s cannot be used: %s", wallet.operator_id, reason)
            return _cannot_be_asked, 1
        assert config.limits is not None
        return partial(self._clients.call, config), config.limits.calls

    def _steps(self, wallet: StoredWallet, ask: Ask) -> OperatorSteps:
        dialect = self._dialects.get(wallet.dialect)
        if dialect is None or not dialect.authenticate_sessions:
            return OperatorSteps(self._pool, ask, several_bets=wallet.several_bets, seeds=self._seeds)
        sessions = Authenticating(ask)
        return OperatorSteps(
            self._pool,
            sessions.ask,
            admit=sessions.admit,
            several_bets=wallet.several_bets,
            seeds=self._seeds,
        )


class _BalanceCalls:
    """Reads of balances, at most `permits` at once, so that many of them leave room for the bets."""

    def __init__(self, ask: Ask, *, permits: int) -> None:
        self._ask = ask
        self._permits = asyncio.Semaphore(permits)

    async def ask(self, request: WalletRequest) -> WalletAnswer:
        try:
            async with asyncio.timeout(BALANCE_LIMIT_S), self._permits:
                return await self._ask(request)
        except TimeoutError:
            return unknown("timeout", "no answer within the time that the read of a balance may take")
        except ValueError:
            return unknown("not-set-up", "the wallet is set up so that it cannot be asked", sent=False)


def takes_secrets(dialect: Dialect) -> bool:
    """Returns whether a wallet of this dialect shares a secret with us. Others check by our public key."""
    return SHARED_SECRET in dialect.signatures


def client_config(
    wallet: StoredWallet, secrets: Sequence[str], dialects: Mapping[str, Dialect]
) -> OperatorWalletConfig:
    """How the wallet is called. Raises ValueError, which quotes neither the URL nor a secret."""
    dialect = dialects.get(wallet.dialect)
    if dialect is None:
        raise ValueError(f"there is no dialect of this name, only {', '.join(sorted(dialects))}")
    if takes_secrets(dialect) != bool(secrets):
        raise ValueError(
            "the dialect's wallet checks signatures by a shared secret, and none is given"
            if takes_secrets(dialect)
            else "the dialect's wallet checks no signature by a shared secret: give none"
        )
    return OperatorWalletConfig(
        operator_id=wallet.operator_id,
        url=wallet.url,
        dialect=wallet.dialect,
        secrets=tuple(secrets),
        limits=_limits(wallet, dialect.limits),
        local=wallet.local,
    )


def _limits(wallet: StoredWallet, limits: Limits) -> Limits:
    def limit_s(given_ms: int | None, otherwise_s: float) -> float:
        return otherwise_s if given_ms is None else timedelta(milliseconds=given_ms).total_seconds()

    chosen = replace(
        limits,
        connect_s=limit_s(wallet.connect_ms, limits.connect_s),
        read_s=limit_s(wallet.read_ms, limits.read_s),
        total_s=limit_s(wallet.total_ms, limits.total_s),
        calls=wallet.calls or limits.calls,
    )
    if chosen.wait_s + chosen.total_s > LONGEST_CALL_S:
        raise ValueError(
            f"a call may take {LONGEST_CALL_S:g} seconds at most, with the wait for a connection"
        )
    return chosen


async def _cannot_be_asked(request: WalletRequest) -> WalletAnswer:
    raise ValueError("the wallet is not set up so that it can be asked")


def _bound_to(operator_id: str) -> bytes:
    return b"croupier:operator-wallet:1:" + operator_id.encode()
