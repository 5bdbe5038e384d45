"""The real services, started once for all tests that ask for them, on data of their own."""

import os
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from temporalio.client import Client

from compose import control
from compose.stack import Operator, Stack
from runtime.settings import PROJECT_ROOT, Settings
from runtime.temporal import connect
from security.keyring import Keyring
from storage.database import Database, open_database

# A slow moment of the machine is no counterexample.
hypothesis.settings.register_profile("croupier", deadline=None)
hypothesis.settings.load_profile("croupier")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also the long runs")


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the long runs were asked for; tests choose their size by it."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def home() -> Path:
    """A folder of this run alone. It stays when a test failed, for its logs."""
    return PROJECT_ROOT / ".local" / f"tests-{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Services:
    """PostgreSQL, RabbitMQ and Temporal, with tables, keys and the demo operator."""

    stack: Stack
    operator: Operator
    settings: Settings

    @property
    def keyring(self) -> Keyring:
        return Keyring.load(self.settings.keyring)


@pytest.fixture(scope="session")
async def services(home: Path, request: pytest.FixtureRequest) -> AsyncIterator[Services]:
    # Tests leave rounds open on purpose: reconciliation runs where a test asks for it.
    # All of them come from one address, so strangers by the hundred look like one that keeps failing.
    settings = Settings(
        home=home,
        log_level="warning",
        reconcile_every_s=86_400,
        limit_failures_per_s=0,
        webhooks_local=True,
        webhook_retry_first_s=1,
        webhook_retry_longest_s=1,
        webhook_retry_for_s=3,
    )
    async with Stack(settings) as stack:
        operator = await stack.start_services(provision=True)
        assert operator is not None
        yield Services(stack, operator, settings)
    if request.session.testsfailed:
        print(f"the logs of the services are in {home / 'logs'}", file=sys.stderr)  # noqa: T201
    else:
        control.reset(settings)
        shutil.rmtree(home)


@pytest.fixture(scope="session")
async def platform(services: Services) -> dict[str, Any]:
    """The whole of Croupier running on the services: what .local/stack.json holds while `up` runs."""
    await services.stack.start_programs()
    return services.stack.info(services.operator)


@pytest.fixture(scope="session")
async def database(services: Services) -> AsyncIterator[Database]:
    opened = await open_database(services.stack.addresses.database_url, connections=20)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def amqp_url(services: Services) -> str:
    return services.stack.addresses.amqp_url


@pytest.fixture(scope="session")
async def temporal(services: Services) -> Client:
    """A client with the keys of this installation."""
    addresses = services.stack.addresses
    return await connect(
        addresses.temporal_address, namespace=addresses.temporal_namespace, keyring=services.keyring
    )
