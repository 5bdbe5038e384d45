"""What the tests of single parts on real services share."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from activities import incidents, reconciliation
from events import broker
from outbound import transport
from runtime import round_start, round_workflows
from storage import database as databases
from storage.database import Database, open_database
from tests.conftest import Services
from tests.support.conditions import HANG_S


@pytest.fixture(scope="package", autouse=True)
def patient() -> Iterator[None]:
    """Production gives up on a service after a few seconds, which a busy machine may stand still for. In this
    process nothing does; the tests that mean those limits are of programs of their own."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(databases, "CONNECT_TIMEOUT_S", HANG_S)
        monkeypatch.setattr(databases, "ACQUIRE_TIMEOUT_S", HANG_S)
        monkeypatch.setattr(databases.Pool.release, "__kwdefaults__", {"timeout": HANG_S})
        monkeypatch.setattr(broker, "CONNECT_SECONDS", HANG_S)
        for module in (incidents, reconciliation):
            monkeypatch.setattr(module, "PUBLISH_LIMIT_S", HANG_S)
        monkeypatch.setattr(transport, "IDLE_S", HANG_S)
        monkeypatch.setattr(round_start, "LOOK_LIMIT", timedelta(seconds=HANG_S))
        monkeypatch.setattr(round_workflows, "LOOK_LIMIT", timedelta(seconds=HANG_S))
        monkeypatch.setattr(round_workflows, "START_TIMEOUT", timedelta(seconds=HANG_S))
        yield


@pytest.fixture
async def application(services: Services, database: Database) -> AsyncIterator[Database]:
    """The database as our programs have it."""
    opened = await open_database(services.stack.addresses.application_database_url, connections=2)
    yield opened
    await opened.close()
