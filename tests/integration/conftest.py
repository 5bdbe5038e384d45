"""What the tests of single parts on real services share."""

from collections.abc import AsyncIterator

import pytest

from storage.database import Database, open_database
from tests.conftest import Services


@pytest.fixture
async def application(services: Services, database: Database) -> AsyncIterator[Database]:
    """The database as our programs have it."""
    opened = await open_database(services.stack.addresses.application_database_url, connections=2)
    yield opened
    await opened.close()
