"""One casino for all fault runs, with services of its own: afterwards every invariant is asked of the whole
database, which the other tests leave as they please."""

import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from compose import control
from compose.stack import Stack
from contracts.views import ApiKeyView
from runtime.settings import PROJECT_ROOT, Settings
from runtime.temporal import connect
from security.api_keys import new_api_key
from security.keyring import Keyring
from storage import operators
from storage.database import Database, open_database
from tests.faults.casino import CALL_LIMIT_MS, LEDGER_OPERATOR, OPENING, Casino
from tests.support.acting import BY
from tests.support.operator_wallet import OPERATOR, RunningWallet, running_wallet
from tests.support.wallet_settings import program_settings, set_wallet


@pytest.fixture(scope="package")
async def casino(request: pytest.FixtureRequest) -> AsyncIterator[Casino]:
    home = PROJECT_ROOT / ".local" / f"tests-faults-{os.getpid()}"
    settings = Settings(home=home, log_level="warning", reconcile_every_s=10)
    failed_before = request.session.testsfailed
    async with _opened(settings) as casino:
        yield casino
    if request.session.testsfailed > failed_before:
        print(f"the logs of the casino are in {home / 'logs'}", file=sys.stderr)  # noqa: T201
    else:
        control.reset(settings)
        shutil.rmtree(home)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Casino]:
    async with Stack(settings) as stack, running_wallet("--new-players", str(OPENING), "--fast") as wallet:
        demo = await stack.start_services(provision=True)
        assert demo is not None
        assert demo.operator_id == OPERATOR
        addresses = stack.addresses
        database = await open_database(addresses.database_url, connections=5)
        try:
            ledger_key = await _new_operator(database)
            # Before the programs start, so that they know it from their first round on.
            await _set_wallet(stack, wallet)
            await stack.start_programs()
            temporal = await connect(
                addresses.temporal_address,
                namespace=addresses.temporal_namespace,
                keyring=Keyring.load(settings.keyring),
            )
            base_url = stack.info()["base_url"]
            yield Casino(stack, database, temporal, base_url, wallet, demo.operator_key, ledger_key)
        finally:
            await database.close()


async def _new_operator(database: Database) -> str:
    """The key of LEDGER_OPERATOR."""
    await operators.ensure_operator(database.pool, operator_id=LEDGER_OPERATOR, name="a test's")
    made = new_api_key()
    stored = ApiKeyView(
        key_id=made.key_id, operator_id=LEDGER_OPERATOR, secret_hash=made.secret_hash, scope="operator"
    )
    await operators.add_key(database.pool, stored, by=BY)
    return made.text


async def _set_wallet(stack: Stack, wallet: RunningWallet) -> None:
    await set_wallet(
        program_settings(stack),
        OPERATOR,
        wallet.url,
        wallet.secret,
        connect_ms=CALL_LIMIT_MS,
        read_ms=CALL_LIMIT_MS,
        total_ms=CALL_LIMIT_MS,
    )
