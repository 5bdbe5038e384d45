"""What the tests of restores share: a PostgreSQL and a Temporal of their own, for a restore is of a whole
server. The broker is that of the other tests."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from compose import control
from compose.stack import Stack
from runtime.settings import PROJECT_ROOT, Settings
from storage.database import open_database
from tests.integration.restores.house import House
from tests.integration.wallet.casino import new_operator, open_casino
from tests.support.operator_wallet import RunningWallet, running_wallet


@asynccontextmanager
async def opened_house(stack: Stack, amqp_url: str, wallet: RunningWallet) -> AsyncIterator[House]:
    """A casino whose worker goes on whatever becomes of the database, as our programs do."""
    addresses = stack.addresses
    settings = stack.settings.model_copy(
        update={
            "database_url": SecretStr(addresses.application_database_url),
            "amqp_url": SecretStr(amqp_url),
            "temporal_address": addresses.temporal_address,
        }
    )
    owner = await open_database(addresses.database_url, connections=2)
    async with open_casino(settings, owner, wallet, plays=True) as casino:
        yield House(casino, stack, await new_operator(owner))
    await owner.close()


@pytest.fixture
async def house(amqp_url: str) -> AsyncIterator[House]:
    home = PROJECT_ROOT / ".local" / f"tests-restores-{os.getpid()}"
    settings = Settings(home=home, amqp_url=SecretStr(amqp_url), log_level="warning")
    try:
        async with Stack(settings) as stack, running_wallet() as wallet:
            await asyncio.gather(stack.start_database(), stack.start_temporal())
            await stack.provision()
            async with opened_house(stack, amqp_url, wallet) as house:
                yield house
    finally:
        control.reset(settings)
        shutil.rmtree(home, ignore_errors=True)
