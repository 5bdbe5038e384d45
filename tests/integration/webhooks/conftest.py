"""A database where nobody else sends, and the steps that send."""

from collections.abc import AsyncIterator

import pytest

from activities import webhook_endpoints
from activities.webhook_endpoints import Endpoints
from activities.webhooks import WebhookSteps
from storage.database import Database
from tests.conftest import Services
from tests.integration.webhooks.stage import QUICK, steps_of
from tests.support.conditions import HANG_S
from tests.support.databases import own_database
from tests.support.ledger import Seat, take_seat


@pytest.fixture(scope="module")
async def own(services: Services) -> AsyncIterator[Database]:
    """A database where nobody else sends."""
    async with own_database(services, connections=5) as opened:
        yield opened


@pytest.fixture
async def seat(own: Database) -> Seat:
    """A player whose operator's webhooks are the only ones."""
    await own.pool.execute("DELETE FROM webhooks")
    return await take_seat(own, balance=10_000)


@pytest.fixture
async def endpoints(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoints]:
    """They wait for longer than a busy machine stands still."""
    monkeypatch.setattr(webhook_endpoints, "CONNECT_S", HANG_S)
    monkeypatch.setattr(webhook_endpoints, "TOTAL_S", HANG_S)
    made = Endpoints(local=True)
    yield made
    await made.aclose()


@pytest.fixture
async def steps(own: Database, endpoints: Endpoints) -> AsyncIterator[WebhookSteps]:
    made = steps_of(own.pool, endpoints, QUICK)
    yield made
    await made.aclose()
