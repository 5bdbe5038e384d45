"""What the tests of the read model share: a ledger of their own, and a role that can only read it."""

from collections.abc import AsyncIterator

import pytest

from overview.rounds import Rounds, Sources
from runtime.services import Unreachable
from storage.database import Database, open_database
from tests.conftest import Services
from tests.support.databases import as_reader, migrated_database


@pytest.fixture(scope="module")
async def own_url(services: Services) -> AsyncIterator[str]:
    async with migrated_database(services) as url:
        yield url


@pytest.fixture(scope="module")
async def own(own_url: str) -> AsyncIterator[Database]:
    """One where nobody else has rounds."""
    opened = await open_database(own_url, connections=5)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def reader(services: Services, own_url: str) -> AsyncIterator[Database]:
    """The same for whoever only looks."""
    opened = await open_database(as_reader(services, own_url), connections=2)
    yield opened
    await opened.close()


async def nowhere() -> None:
    raise Unreachable("Temporal is not asked here")


@pytest.fixture
def rounds(reader: Database) -> Rounds:
    """The read model over the database alone."""
    return Rounds(Sources(reader.pool, nowhere))  # type: ignore[arg-type]  # it never returns
