"""The real services, started once for all tests that ask for them, on data of their own. A test that asks for
one of them starts only that one."""

import asyncio
import gc
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from temporalio.client import Client

from compose import control
from compose.problems import StackProblem
from compose.stack import Operator, Stack
from runtime.settings import PROJECT_ROOT, Settings, without_ours
from runtime.temporal import connect
from security.keyring import Keyring
from storage.database import Database, open_database
from tests.support.deadlocks import only_hangs_are_deadlocks
from tests.support.ending import end_run

COLLECT_AFTER_OBJECTS: Final = 100_000

pytest_plugins = (
    "tests.support.failures",
    "tests.support.scheduling",
    "tests.support.selection",
    "tests.support.temporal",
)

# A slow moment of the machine is no counterexample, and a suite is not red by chance: every run tries the
# same examples, and `--full` tries others each time.
hypothesis.settings.register_profile("croupier", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("full", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """What is set for the stack of whoever runs the tests must not reach theirs, nor theirs that person's
    services."""
    own = without_ours(os.environ)
    os.environ.clear()
    os.environ.update({**own, "CROUPIER_SETTINGS": os.devnull})
    hypothesis.settings.load_profile("full" if config.getoption("--full") else "croupier")
    # Six thousand tests are a large heap, and hypothesis makes much that dies at once: with the interpreter's
    # own threshold the unit tests of games and api took 12.5 s of processor time, with this one 8.9 s.
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
    only_hangs_are_deadlocks()


def pytest_collection_finish() -> None:
    gc.freeze()  # the tests themselves live until the end


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the long runs were asked for; tests choose their size by it."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def home() -> Path:
    """A folder of this run alone."""
    return PROJECT_ROOT / ".local" / f"tests-{os.getpid()}"


@pytest.fixture(scope="session")
async def stack(home: Path) -> AsyncIterator[Stack]:
    """Open, with nothing started."""
    # Tests leave rounds open on purpose: reconciliation runs where a test asks for it. Temporal counts its
    # intervals from 1970: every day would be at midnight, and this is in 2033.
    # All of them come from one address, so hundreds of unauthenticated clients look like one that keeps
    # failing.
    settings = Settings(
        home=home,
        log_level="warning",
        reconcile_every_s=1_000_000_000,
        limit_address_per_s=0,
        limit_failures_per_s=0,
        metrics_operators=10_000,
        webhooks_local=True,
        webhook_retry_first_s=1,
        webhook_retry_longest_s=1,
        webhook_retry_for_s=8,
    )
    async with Stack(settings) as stack:
        yield stack
    control.reset(settings)
    shutil.rmtree(home)


async def started(session: pytest.Session, start: Callable[[], Awaitable[Any]]) -> Any:
    """What `start` returns. Without the service every test that needs it would fail, each in its own words,
    so the run ends here, with what the service said."""
    try:
        return await start()
    except StackProblem as problem:
        end_run(session, f"the services of the tests do not start: {problem}")


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
async def starting(request: pytest.FixtureRequest, stack: Stack) -> "Starting":
    return Starting(request.session, stack)


class Starting:
    """Starts each service once, for the first test that asks, and several at the same time."""

    def __init__(self, session: pytest.Session, stack: Stack) -> None:
        self._session, self._stack = session, stack
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    async def database(self) -> Operator:
        """PostgreSQL with tables, keys and the demo operator."""
        operator: Operator = await self._once("database", self._provisioned)
        return operator

    async def broker(self) -> None:
        await self._once("broker", self._stack.start_broker)

    async def temporal(self) -> None:
        await self._once("temporal", self._stack.start_temporal)

    async def _provisioned(self) -> Operator:
        await self._stack.start_database()
        return await self._stack.provision()

    async def _once(self, name: str, start: Callable[[], Awaitable[Any]]) -> Any:
        if name not in self._tasks:
            self._tasks[name] = asyncio.ensure_future(start())
        return await started(self._session, lambda: self._tasks[name])


@pytest.fixture(scope="session")
async def services(stack: Stack, starting: Starting) -> Services:
    operator, _, _ = await asyncio.gather(starting.database(), starting.broker(), starting.temporal())
    return Services(stack, operator, stack.settings)


@pytest.fixture(scope="session")
async def platform(request: pytest.FixtureRequest, services: Services) -> dict[str, Any]:
    """The whole of Croupier running on the services: what .local/stack.json holds while `up` runs."""
    await started(request.session, services.stack.start_programs)
    return services.stack.info(services.operator)


@pytest.fixture(scope="session")
async def database(stack: Stack, starting: Starting) -> AsyncIterator[Database]:
    await starting.database()
    opened = await open_database(stack.addresses.database_url, connections=20)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
async def amqp_url(stack: Stack, starting: Starting) -> str:
    await starting.broker()
    return stack.addresses.amqp_url


@pytest.fixture(scope="session")
async def temporal(stack: Stack, starting: Starting) -> Client:
    """A client with the keys of this installation, which come with its tables."""
    await asyncio.gather(starting.database(), starting.temporal())
    addresses = stack.addresses
    return await connect(
        addresses.temporal_address,
        namespace=addresses.temporal_namespace,
        keyring=Keyring.load(stack.settings.keyring),
    )
