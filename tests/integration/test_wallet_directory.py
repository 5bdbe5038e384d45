"""Setting an operator's wallet, and a worker that hears of it: secrets are sealed and shown nowhere."""

import asyncio
import base64
import logging
import secrets
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from cli.operator import wallet as command
from contracts.rounds import RoundState
from contracts.wallet import WalletVerdict
from runtime.settings import Settings
from security.keyring import Keyring, UnknownKey
from security.sealing import SealBroken
from security.standard_webhooks import PublicKey
from storage import operator_wallets, operators
from storage.database import Database
from storage.operator_wallets import StoredWallet
from tests.conftest import Services
from tests.support.conditions import HANG_S, until
from tests.support.ledger import take_seat
from tests.support.operator_wallet import PLAYER, running_wallet
from tests.support.wallet_settings import program_settings
from wallet import dialect
from wallet import directory as wallet_directory
from wallet.directory import WalletDirectory, WalletVault, client_config
from wallet.operator_http import OperatorWallets

SECRET: Final = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
URL: Final = "https://wallet.example/croupier"
DIALECTS: Final = dialect.load()


def wanted(operator_id: str, **changes: object) -> command.Wanted:
    fields: dict[str, object] = {
        "operator_id": operator_id,
        "url": URL,
        "dialect": "croupier",
        "local": False,
        "connect_ms": None,
        "read_ms": None,
        "total_ms": None,
        "calls": None,
    }
    return command.Wanted(**{**fields, **changes})  # type: ignore[arg-type]  # as the dataclass checks


@pytest.fixture
async def operator_id(database: Database) -> str:
    name = f"op-{uuid4().hex[:12]}"
    await operators.ensure_operator(database.pool, operator_id=name, name="a test's")
    return name


@pytest.fixture
def settings(services: Services) -> Settings:
    return program_settings(services.stack)


async def stored(database: Database, operator_id: str) -> StoredWallet | None:
    found = await operator_wallets.read_all(database.pool)
    return next((wallet for wallet in found if wallet.operator_id == operator_id), None)


async def test_a_wallet_that_is_set_has_its_secret_sealed(
    settings: Settings, services: Services, database: Database, operator_id: str
) -> None:
    await command.store(settings, wanted(operator_id, total_ms=900), (SECRET,))
    found = await stored(database, operator_id)
    assert found is not None
    assert (found.url, found.dialect, found.local, found.total_ms) == (URL, "croupier", False, 900)
    assert SECRET not in found.sealed_secrets
    assert found.sealed_secrets not in repr(found)
    vault = WalletVault(services.keyring)
    assert vault.open(operator_id, found.sealed_secrets) == (SECRET,)
    config = client_config(found, (SECRET,), DIALECTS)
    assert config.limits is not None
    assert (config.limits.total_s, config.limits.calls) == (0.9, DIALECTS["croupier"].limits.calls)


def test_a_sealed_secret_opens_for_its_operator_and_its_keys_alone() -> None:
    vault = WalletVault(Keyring.generate())
    sealed = vault.seal("one", (SECRET,))
    assert vault.open("one", sealed) == (SECRET,)
    for operator_id, text in (("other", sealed), ("one", sealed[:-4]), ("one", "v1.x"), ("one", SECRET)):
        with pytest.raises((SealBroken, UnknownKey)):
            vault.open(operator_id, text)
    with pytest.raises((SealBroken, UnknownKey)):
        WalletVault(Keyring.generate()).open("one", sealed)


@pytest.mark.parametrize(
    ("changes", "secret"),
    [
        ({"url": "http://wallet.example"}, SECRET),
        ({"url": "https://127.0.0.1/wallet"}, SECRET),
        ({"url": "https://user:pass@wallet.example"}, SECRET),
        ({"dialect": "nobodys"}, SECRET),
        ({"dialect": "rgs_micro"}, SECRET),
        ({"total_ms": 60_000}, SECRET),
        ({}, "whsec_dG9vIHNob3J0"),
    ],
    ids=("no-tls", "loopback", "user", "dialect", "other-dialect", "too-long", "short-secret"),
)
async def test_what_could_not_be_asked_is_not_set(
    settings: Settings, database: Database, operator_id: str, changes: dict[str, object], secret: str
) -> None:
    with pytest.raises(command.CannotSet) as problem:
        await command.store(settings, wanted(operator_id, **changes), (secret,))
    assert secret not in str(problem.value)
    assert await stored(database, operator_id) is None


async def test_a_call_may_take_eight_seconds_with_its_wait_for_a_connection(
    settings: Settings, database: Database, operator_id: str
) -> None:
    """Longer than that, it would outlast its step."""
    await command.store(settings, wanted(operator_id, total_ms=7_000), (SECRET,))
    with pytest.raises(command.CannotSet, match="8 seconds at most"):
        await command.store(settings, wanted(operator_id, total_ms=7_001), (SECRET,))
    found = await stored(database, operator_id)
    assert found is not None
    assert found.total_ms == 7_000


async def test_a_wallet_of_nobody_is_not_set(settings: Settings) -> None:
    with pytest.raises(command.CannotSet, match="no operator"):
        await command.store(settings, wanted("nobody"), (SECRET,))


def test_a_wallet_that_shares_no_secret_is_set_with_the_key_that_it_checks_by(
    settings: Settings, services: Services, operator_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.set_wallet(settings, wanted(operator_id, dialect="rgs_micro"), None) == 0
    said = capsys.readouterr().out.split()[-1]
    signing = services.keyring.events.signing_key()
    PublicKey.parse(said).key.verify(signing.sign(b"a call"), b"a call")


def test_a_secret_comes_from_a_file_and_is_never_shown(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secret"
    file.write_text("not a secret of ours\n")
    assert command.set_wallet(settings, wanted("nobody"), file) == 1
    file.write_text("")
    assert command.set_wallet(settings, wanted("nobody"), file) == 1
    assert command.set_wallet(settings, wanted("nobody"), tmp_path / "missing") == 1
    shown = capsys.readouterr()
    assert "not a secret" not in shown.out + shown.err
    assert len(shown.err.splitlines()) == 3


async def test_a_worker_hears_of_a_wallet_and_of_its_change(
    settings: Settings, services: Services, database: Database, operator_id: str
) -> None:
    vault = WalletVault(services.keyring)
    directory = WalletDirectory(database.pool, vault, DIALECTS, OperatorWallets(DIALECTS))
    async with directory.kept_fresh():
        assert operator_id not in directory.wallets
        await command.store(settings, wanted(operator_id), (SECRET,))
        await directory.refresh()
        first = directory.wallets[operator_id]
        await directory.refresh()
        assert directory.wallets[operator_id] is first
        await command.store(settings, wanted(operator_id, calls=3), (SECRET,))
        await asyncio.gather(directory.refresh(), directory.refresh())
        assert directory.wallets[operator_id] is not first


def look(operator_id: str, player_id: str = PLAYER) -> dict[str, str]:
    return {"operator_id": operator_id, "player_id": player_id, "session_id": "s", "currency": "EUR"}


async def test_a_crowd_that_looks_at_balances_leaves_the_wallet_room_for_bets(
    settings: Settings,
    services: Services,
    database: Database,
    operator_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The interleaving: every look hangs, and a bet comes. Four calls may be under way, one of them looks.
    Each look ends by its own limit: one after the other, by the wallet's, they would take too long."""
    limits = {"read_ms": 6_900, "total_ms": 6_900}
    vault = WalletVault(services.keyring)
    async with running_wallet("--new-players", "500") as wallet:
        await command.store(
            settings, wanted(operator_id, url=wallet.url, local=True, calls=4, **limits), (wallet.secret,)
        )
        directory = WalletDirectory(database.pool, vault, DIALECTS, OperatorWallets(DIALECTS))
        async with directory.kept_fresh():
            monkeypatch.setattr(wallet_directory, "BALANCE_LIMIT_S", 600)
            assert (await directory.balance(**look(operator_id))).balance == 500
            await wallet.set_faults(rates={"slow": 1}, only=["balance"], slow_s=600)
            looks = [asyncio.create_task(directory.balance(**look(operator_id))) for _ in range(12)]

            async def hanging() -> bool:
                return bool((await wallet.faults())["under_way"])

            await until(hanging)
            seat = await take_seat(database, operator_id=operator_id)
            pending = await directory.wallets[operator_id].reserve(seat.bet())
            assert pending.state is RoundState.PENDING
            assert sum(not task.done() for task in looks) > 1, "they look one after the other"
            assert (await wallet.faults())["under_way"] <= 1
            for task in looks:
                task.cancel()
            await asyncio.gather(*looks, return_exceptions=True)

            monkeypatch.undo()
            async with asyncio.timeout(HANG_S):
                answers = await asyncio.gather(*(directory.balance(**look(operator_id)) for _ in range(12)))
            assert {(answer.verdict, answer.code) for answer in answers} == {
                (WalletVerdict.UNKNOWN, "timeout")
            }


async def test_a_wallet_that_cannot_be_used_is_no_reason_to_play_from_our_ledger(
    services: Services, database: Database, operator_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The interleaving: the keyring of this worker is older than the secret."""
    sealed = WalletVault(Keyring.generate()).seal(operator_id, (SECRET,))
    await operator_wallets.store(
        database.pool,
        StoredWallet(
            operator_id=operator_id, url=URL, dialect="croupier", sealed_secrets=sealed, local=False
        ),
    )
    directory = WalletDirectory(
        database.pool, WalletVault(services.keyring), DIALECTS, OperatorWallets(DIALECTS)
    )
    with caplog.at_level(logging.ERROR):
        await directory.refresh()
    assert f"the wallet of {operator_id} cannot be used" in caplog.text
    seat = await take_seat(database, operator_id=operator_id)
    declined = await directory.wallets[operator_id].reserve(seat.bet())
    assert (declined.failure_code, declined.failure_detail) == ("wallet-failed", "not-set-up")
    assert directory.keeps_money_of(operator_id)
    looked = await directory.balance(**look(operator_id))
    assert (looked.verdict, looked.code, looked.sent) == (WalletVerdict.UNKNOWN, "not-set-up", False)
