"""`croupier operator wallet set|unset`: where the wallet is that keeps the money of an operator's players."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import typer

from cli.operator import wallet_trial
from cli.options import told
from cli.services import database_of, with_database
from contracts.failures import one_line
from runtime.services import Unreachable, load_keyring
from runtime.settings import SettingsError
from security.keyring import KeyringInvalid
from security.standard_webhooks import PrivateKey
from storage import operator_wallets
from storage.operator_wallets import StoredWallet, UnsetVerdict
from wallet import dialect
from wallet.directory import REFRESH_S, WalletVault, client_config, takes_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runtime.settings import Settings

SECRETS_LIMIT: Final = 4096  # bytes
IN_THE_WAY: Final[Mapping[UnsetVerdict, str]] = {
    "no-wallet": "{operator_id} has no wallet of its own: our ledger keeps its players' money",
    "enabled": "rounds could begin at the wallet meanwhile: first ./croupier operator disable {operator_id}",
    "sessions-open": "sessions are open yet: ./croupier operator disable {operator_id} ends them",
    "rounds-open": "rounds are under way at the wallet, which has to answer for them: wait for their ends, or"
    " decide about them with ./croupier round resolve",
    "not-compared": "the wallet's statement was not compared to its end yet, and never would be:"
    " reconciliation does that within some two minutes. Where it cannot: again, with --uncompared",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be set, without its secrets. Limits that are None are the dialect's; times in milliseconds.
    `several_bets` is None where nobody said it: as it was before, and several for a new wallet."""

    operator_id: str
    url: str
    dialect: str
    local: bool
    connect_ms: int | None
    read_ms: int | None
    total_ms: int | None
    calls: int | None
    several_bets: bool | None = None


class CannotSet(Exception):
    """Why nothing was set, in one line."""


def set_wallet(settings: Settings, wanted: Wanted, secret_file: Path | None, *, as_json: bool = False) -> int:
    """Returns 0, or 1 when nothing was set. Secrets come from the file or from standard input, for a dialect
    that has any."""
    try:
        shared = _shares_secrets(wanted)
        secrets = _secrets(secret_file) if shared else ()
        asyncio.run(store(with_database(settings), wanted, secrets))
        public_key = PrivateKey(load_keyring(settings).events.signing_key()).public_text
    except (CannotSet, Unreachable, KeyringInvalid, SettingsError) as problem:
        typer.echo(f"croupier: {problem}", err=True)
        return 1
    checked_by = None if shared else public_key
    if as_json:
        known = {"operator_id": wanted.operator_id, "public_key": checked_by}
        told({**known, "trial": wallet_trial.trial(settings, wanted.operator_id)}, as_json=True)
        return 0
    typer.echo(
        f"the wallet of {wanted.operator_id} is set; what runs will know it within {REFRESH_S:.0f} seconds"
    )
    # It stays set, whatever it answers: it may be there later than we are.
    wallet_trial.ask(settings, wanted.operator_id)
    if checked_by is not None:
        typer.echo(f"it checks our calls by this public key: {checked_by}")
    return 0


def unset_wallet(settings: Settings, operator_id: str, *, uncompared: bool, as_json: bool = False) -> int:
    """Returns 0, or 1 with what stands in the way."""
    try:
        verdict = asyncio.run(_unset(with_database(settings), operator_id, uncompared))
    except (CannotSet, Unreachable, SettingsError) as problem:
        typer.echo(f"croupier: {problem}", err=True)
        return 1
    if verdict != "unset":
        typer.echo(f"croupier: {IN_THE_WAY[verdict].format(operator_id=operator_id)}", err=True)
        return 1
    line = (
        f"our ledger keeps the money of {operator_id}'s players; what runs will know it within"
        f" {REFRESH_S:.0f} seconds. Then: ./croupier operator enable {operator_id}, and deposit what each had"
    )
    told({"operator_id": operator_id, "unset": True}, line, as_json=as_json)
    return 0


async def _unset(settings: Settings, operator_id: str, uncompared: bool) -> UnsetVerdict:
    async with database_of(settings, CannotSet) as database:
        return await operator_wallets.unset(database.pool, operator_id, uncompared=uncompared)


async def store(settings: Settings, wanted: Wanted, secrets: tuple[str, ...]) -> None:
    """Checks and stores the wallet. Raises CannotSet, Unreachable or KeyringInvalid."""
    vault = WalletVault(load_keyring(settings))
    wallet = StoredWallet(
        operator_id=wanted.operator_id,
        url=wanted.url,
        dialect=wanted.dialect,
        sealed_secrets=vault.seal(wanted.operator_id, secrets),
        local=wanted.local,
        connect_ms=wanted.connect_ms,
        read_ms=wanted.read_ms,
        total_ms=wanted.total_ms,
        calls=wanted.calls,
        several_bets=wanted.several_bets is not False,
    )
    try:
        client_config(wallet, secrets, dialect.load())
    except ValueError as reason:
        raise CannotSet(one_line(str(reason))) from None
    async with database_of(settings, CannotSet) as database:
        known = await operator_wallets.store(
            database.pool, wallet, bets_as_before=wanted.several_bets is None
        )
    if not known:
        raise CannotSet(f"there is no operator {wanted.operator_id}")


def _shares_secrets(wanted: Wanted) -> bool:
    known = dialect.load()
    # A name that is no dialect's is refused with the rest of the configuration.
    return wanted.dialect not in known or takes_secrets(known[wanted.dialect])


def _secrets(secret_file: Path | None) -> tuple[str, ...]:
    """One a line. Nothing of them is ever shown."""
    try:
        text = (
            sys.stdin.read(SECRETS_LIMIT) if secret_file is None else secret_file.read_text()[:SECRETS_LIMIT]
        )
    except (OSError, UnicodeDecodeError) as error:
        raise CannotSet(f"the secret cannot be read: {type(error).__name__}") from None
    secrets = tuple(text.split())
    if not secrets:
        raise CannotSet("no secret is given: write it to standard input, or name a --secret-file")
    return secrets
