"""Which operators have a wallet of their own: read from the database, and kept fresh while a program runs."""

import asyncio
import base64
import binascii
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
from security.sealing import SealBroken, Sealer
from storage import operator_wallets as stored
from storage.database import AWAY
from storage.operator_wallets import StoredWallet
from wallet.codec import unknown
from wallet.dialect import Dialect, Limits
from wallet.operator import Ask, OperatorSteps
from wallet.operator_http import OperatorWalletConfig, OperatorWallets

# How long a program may go on as if an operator's wallet were as it was before.
REFRESH_S: Final = 5.0
# How long somebody who only looks at a balance waits for the wallet.
LOOK_LIMIT_S: Final = 2.0
# Looks take at most this part of the calls that a wallet may have under way: the rest is for money.
LOOKS_SHARE: Final = 4
# A call that takes longer would outlast the step that makes it, which the workflow then repeats beside it.
LONGEST_CALL_S: Final = 8.0
# The version of Standard Webhooks that signs by a shared secret.
SHARED_SECRET: Final = "v1"  # noqa: S105 - a version, no secret
_FORMAT: Final = "v1"

log = logging.getLogger(__name__)


class WalletVault:
    """Seals the secrets that sign what an operator's wallet is told. A sealed value is the text
    `v1.<key id>.<base64url>` and is bound to its operator: copied to another's row it does not open."""

    def __init__(self, keyring: Keyring) -> None:
        self._sealer = Sealer(keyring.payload)

    def seal(self, operator_id: str, secrets: Sequence[str]) -> str:
        sealed = self._sealer.seal(json.dumps(list(secrets)).encode(), bound_to=_bound_to(operator_id))
        return f"{_FORMAT}.{self._sealer.active_key_id}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, operator_id: str, sealed_secrets: str) -> tuple[str, ...]:
        """Raises SealBroken or UnknownKey."""
        form, _, rest = sealed_secrets.partition(".")
        key_id, _, text = rest.partition(".")
        if form != _FORMAT:
            raise SealBroken("sealed secrets are not v1.<key id>.<data>")
        try:
            sealed = base64.b64decode(text, altchars=b"-_", validate=True)
        except binascii.Error:
            raise SealBroken("sealed secrets are not base64url") from None
        opened = self._sealer.open(sealed, key_id=key_id, bound_to=_bound_to(operator_id))
        return tuple(json.loads(opened))


class WalletDirectory:
    """`wallets` holds the OperatorSteps of every operator that has one, and changes in place."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        vault: WalletVault,
        dialects: Mapping[str, Dialect],
        clients: OperatorWallets,
    ) -> None:
        self._pool = pool
        self._vault = vault
        self._dialects = dialects
        self._clients = clients
        self._known: dict[str, StoredWallet] = {}
        self._looks: dict[str, _Looks] = {}
        self.wallets: dict[str, OperatorSteps] = {}

    def keeps_money_of(self, operator_id: str) -> bool:
        """Whether the money of the operator's players is in a wallet of its own."""
        return operator_id in self.wallets

    async def balance(
        self, *, operator_id: str, player_id: str, session_id: str, currency: str
    ) -> WalletAnswer:
        """What the operator's own wallet, which must be there, says that its player has. There is always an
        answer, after LOOK_LIMIT_S seconds at the latest."""
        request = WalletRequest(
            call=WalletCall.BALANCE,
            operator_id=operator_id,
            player_id=player_id,
            session_id=session_id,
            currency=currency,
        )
        return await self._looks[operator_id].ask(request)

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Inside the block what is stored is known here after REFRESH_S seconds. Raises what the first
        reading raises; later ones are repeated. At the end the clients are closed, when their calls have
        ended."""
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
        """Reads what is stored. A wallet that cannot be used stays its operator's wallet: it answers nothing,
        for its players' money is not in our ledger."""
        for wallet in await stored.read_all(self._pool):
            if self._known.get(wallet.operator_id) != wallet:
                self._known[wallet.operator_id] = wallet
                ask, calls = self._ask(wallet)
                self._looks[wallet.operator_id] = _Looks(ask, places=max(1, calls // LOOKS_SHARE))
                self.wallets[wallet.operator_id] = OperatorSteps(self._pool, ask)

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.refresh()
            except AWAY as error:
                log.warning("operators' wallets are as before: %s", type(error).__name__)

    def _ask(self, wallet: StoredWallet) -> tuple[Ask, int]:
        """How it is asked, and how many calls may be under way at once."""
        try:
            secrets = self._vault.open(wallet.operator_id, wallet.sealed_secrets)
            config = client_config(wallet, secrets, self._dialects)
        except (ValueError, SealBroken, UnknownKey) as reason:
            log.error("the wallet of %s cannot be used: %s", wallet.operator_id, reason)
            return _cannot_be_asked, 1
        assert config.limits is not None
        return partial(self._clients.call, config), config.limits.calls


class _Looks:
    """Balances that players look at, `places` at once: a crowd that only looks leaves room for the bets."""

    def __init__(self, ask: Ask, *, places: int) -> None:
        self._ask = ask
        self._free = asyncio.Semaphore(places)

    async def ask(self, request: WalletRequest) -> WalletAnswer:
        try:
            async with asyncio.timeout(LOOK_LIMIT_S), self._free:
                return await self._ask(request)
        except TimeoutError:
            return unknown("timeout", "no answer within the time that a look at a balance may take")
        except ValueError:
            return unknown("not-set-up", "the wallet is set up so that it cannot be asked", sent=False)


def takes_secrets(dialect: Dialect) -> bool:
    """Whether a wallet of this dialect shares a secret with us; otherwise it checks by our public key."""
    return SHARED_SECRET in dialect.signatures


def client_config(
    wallet: StoredWallet, secrets: Sequence[str], dialects: Mapping[str, Dialect]
) -> OperatorWalletConfig:
    """How the wallet is spoken to. Raises ValueError, which quotes neither the URL nor a secret."""
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
        raise ValueError(f"a call may take {LONGEST_CALL_S:g} seconds at most, the wait for a place included")
    return chosen


async def _cannot_be_asked(request: WalletRequest) -> WalletAnswer:
    raise ValueError("the wallet is not set up so that it can be asked")


def _bound_to(operator_id: str) -> bytes:
    return b"croupier:operator-wallet:1:" + operator_id.encode()
