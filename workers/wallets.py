"""Operators' own wallets, as one program has them: read once, kept fresh, and counted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.wallet import WalletRequest, WalletVerdict
from runtime import metrics
from runtime.resources import Resources
from security.seeds import SeedVault
from security.standard_webhooks import PrivateKey
from wallet import dialect
from wallet.directory import WalletDirectory, WalletVault
from wallet.operator_http import OperatorWallets
from wallet.retired_seeds import RetiredSeeds


@asynccontextmanager
async def opened(resources: Resources) -> AsyncIterator[WalletDirectory]:
    """The directory of wallets for this whole program, so that each wallet has one client here,
    with one set of limits and one breaker."""
    operators = directory(resources)
    async with operators.kept_fresh():
        yield operators


def directory(resources: Resources) -> WalletDirectory:
    """The same before it is read."""
    dialects = dialect.load()
    pool, keyring = resources.database.pool, resources.keyring
    # One key signs our messages to the broker and to wallets.
    platform_key = PrivateKey(keyring.events.signing_key())
    clients = OperatorWallets(dialects, platform_keys=[platform_key], watch=WalletMetrics())
    seeds = RetiredSeeds(pool, SeedVault(keyring))
    return WalletDirectory(pool, WalletVault(keyring), dialects, clients, seeds)


class WalletMetrics:
    """A wallet.operator_http.Watch that counts for Prometheus. The values of its labels are the operators
    with a wallet, the calls and the verdicts."""

    def __init__(self) -> None:
        self._open: set[str] = set()
        metrics.of_a_wallet(metrics.OTHER)

    def asked(self, request: WalletRequest, verdict: WalletVerdict, *, took_s: float) -> None:
        operator = metrics.OPERATORS.of(request.operator_id)
        metrics.of_wallet_call(operator, request.call.value, verdict.value).inc()
        metrics.of_wallet_time(operator).observe(took_s)

    def not_asked(self, request: WalletRequest) -> None:
        operator = metrics.OPERATORS.of(request.operator_id)
        metrics.of_wallet_call(operator, request.call.value, metrics.NOT_ASKED).inc()

    def waiting(self, operator_id: str, change: int) -> None:
        metrics.WALLET_WAITING.labels(metrics.OPERATORS.of(operator_id)).inc(change)

    def breaker(self, operator_id: str, *, is_open: bool) -> None:
        """Of operators that share a label, any open one counts."""
        if is_open == (operator_id in self._open):
            return
        (self._open.add if is_open else self._open.discard)(operator_id)
        operator = metrics.OPERATORS.of(operator_id)
        metrics.WALLET_BREAKER_OPEN.labels(operator).set(
            any(metrics.OPERATORS.of(other) == operator for other in self._open)
        )
