"""`croupier operator wallet test|show`: asks an operator's wallet once, as rounds do, and says what came."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import typer

from cli.options import told
from cli.services import database_of, with_database
from contracts.failures import one_line
from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletRequest, WalletVerdict
from runtime.services import Unreachable, load_keyring
from runtime.settings import SettingsError
from security.keyring import KeyringInvalid, UnknownKey
from security.sealing import SealBroken
from security.standard_webhooks import PrivateKey
from storage import operator_wallets
from wallet import dialect
from wallet.directory import WalletVault, client_config
from wallet.operator_http import OperatorWallets

if TYPE_CHECKING:
    from runtime.settings import Settings
    from storage.operator_wallets import StoredWallet
    from wallet.operator_http import OperatorWalletConfig

# Whose balance is asked for where nobody is named. A wallet need not know the player to show that it answers.
NOBODY: Final = "croupier-test"
CURRENCY: Final = "EUR"


class CannotAsk(Exception):
    """Why the wallet could not be asked, as its reader is told."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What the wallet answered to a call for a balance, and after how long."""

    answer: WalletAnswer
    took_ms: float

    @property
    def ok(self) -> bool:
        """It speaks its dialect and takes our signature."""
        refused = self.answer.verdict is WalletVerdict.REFUSED
        return self.answer.verdict is WalletVerdict.ACCEPTED or (
            refused and self.answer.code != WalletRefusal.BAD_SIGNATURE
        )


def ask(
    settings: Settings,
    operator_id: str,
    *,
    player_id: str = NOBODY,
    currency: str = CURRENCY,
    as_json: bool = False,
) -> int:
    """Returns 0 when the wallet answers as its dialect does, 1 when it does not or could not be asked."""
    if as_json:
        told(found := trial(settings, operator_id, player_id=player_id, currency=currency), as_json=True)
        return 0 if found["ok"] else 1
    try:
        tried = asyncio.run(_try(with_database(settings), operator_id, player_id, currency))
    except _PROBLEMS as problem:
        typer.echo(f"croupier: {one_line(str(problem))}", err=True)
        return 1
    said = _said(tried.answer, player_id, currency)
    typer.echo(f"the wallet of {operator_id} {said} ({tried.took_ms:.0f} ms)", err=not tried.ok)
    return 0 if tried.ok else 1


def trial(
    settings: Settings, operator_id: str, *, player_id: str = NOBODY, currency: str = CURRENCY
) -> dict[str, Any]:
    """The same as a document: `ok`, and what the wallet answered or why it could not be asked."""
    try:
        tried = asyncio.run(_try(with_database(settings), operator_id, player_id, currency))
    except _PROBLEMS as problem:
        return {"ok": False, "problem": one_line(str(problem))}
    answer = tried.answer
    return {
        "ok": tried.ok,
        "verdict": answer.verdict.value,
        "code": answer.code,
        "balance": answer.balance,
        "detail": one_line(answer.detail),
        "took_ms": round(tried.took_ms),
    }


def show(settings: Settings, operator_id: str, *, as_json: bool) -> int:
    """Prints what is set, and no secret. Returns 0, or 1 when there is nothing."""
    try:
        wallet, config = asyncio.run(_read(with_database(settings), operator_id))
    except _PROBLEMS as problem:
        typer.echo(f"croupier: {one_line(str(problem))}", err=True)
        return 1
    shown = as_document(wallet, config)
    if as_json:
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return 0
    for name, value in shown.items():
        typer.echo(f"{name:<12}  {value}")
    return 0


def as_document(wallet: StoredWallet, config: OperatorWalletConfig) -> dict[str, Any]:
    """The wallet as it is asked: its limits are the dialect's where none was set. Times in milliseconds."""
    limits = config.limits
    assert limits is not None
    return {
        "operator_id": wallet.operator_id,
        "url": wallet.url,
        "dialect": wallet.dialect,
        "local": wallet.local,
        "secrets": len(config.secrets),
        "connect_ms": round(limits.connect_s * 1000),
        "read_ms": round(limits.read_s * 1000),
        "total_ms": round(limits.total_s * 1000),
        "calls": limits.calls,
        "several_bets": wallet.several_bets,
    }


async def _try(settings: Settings, operator_id: str, player_id: str, currency: str) -> Trial:
    _, config = await _read(settings, operator_id)
    signing_key = PrivateKey(load_keyring(settings).events.signing_key())
    wallets = OperatorWallets(dialect.load(), platform_keys=[signing_key])
    request = WalletRequest(
        call=WalletCall.BALANCE,
        operator_id=operator_id,
        player_id=player_id,
        session_id=NOBODY,
        currency=currency,
    )
    since = time.perf_counter()
    try:
        answer = await wallets.call(config, request)
    finally:
        await wallets.aclose()
    return Trial(answer, (time.perf_counter() - since) * 1000)


async def _read(settings: Settings, operator_id: str) -> tuple[StoredWallet, OperatorWalletConfig]:
    """What is set, with its secrets opened. Raises CannotAsk and what the keyring and the database raise."""
    vault = WalletVault(load_keyring(settings))
    async with database_of(settings, CannotAsk) as database:
        wallet = await operator_wallets.find(database.pool, operator_id)
    if wallet is None:
        raise CannotAsk(f"{operator_id} has no wallet of its own: our ledger keeps its players' money")
    secrets = vault.open(operator_id, wallet.sealed_secrets)
    return wallet, client_config(wallet, secrets, dialect.load())


def _said(answer: WalletAnswer, player_id: str, currency: str) -> str:
    if answer.verdict is WalletVerdict.ACCEPTED:
        return f"answers: {player_id} has {answer.balance} minor units of {currency}"
    if answer.verdict is WalletVerdict.REFUSED:
        if answer.code == WalletRefusal.BAD_SIGNATURE:
            return "refuses our signature: it checks by another secret or key, or its clock is wrong"
        return f"answers: it refuses the balance of {player_id} with {answer.code}"
    return f"does not answer as its dialect does: {answer.code}: {one_line(answer.detail)}"


# ValueError is a configuration that cannot be used any more: a dialect that is gone, say.
_PROBLEMS: Final = (
    CannotAsk, Unreachable, KeyringInvalid, SettingsError, SealBroken, UnknownKey, ValueError,
)  # fmt: skip
