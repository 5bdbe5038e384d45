"""What the tests over HTTP share: the running house, its operator, and a stranger among the operators."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from storage.database import Database
from tests.conftest import Services
from tests.e2e.described import Description
from tests.e2e.house import House, Operator, Player, is_told_of_rounds
from tests.support.conditions import HANG_S, until


@pytest.fixture(scope="session")
async def house(
    platform: dict[str, Any], services: Services, database: Database, temporal: Client
) -> AsyncIterator[House]:
    limits = httpx.Limits(max_connections=120, max_keepalive_connections=120)
    async with httpx.AsyncClient(base_url=platform["base_url"], timeout=HANG_S, limits=limits) as http:
        description = Description((await http.get("/openapi.json")).json())
        http.event_hooks = {"response": [description.check]}
        secrets = [platform["operator_key"]]
        yield House(http, database, temporal, services.keyring, secrets)


@pytest.fixture(scope="session")
async def operator(house: House, platform: dict[str, Any]) -> Operator:
    """The operator that comes with the stack."""
    return Operator(house, platform["operator_id"], platform["operator_key"])


@pytest.fixture(scope="session")
async def rival(house: House) -> Operator:
    """Another operator, whose data nobody else may see."""
    return await house.new_operator()


@pytest.fixture(scope="module")
async def told(platform: dict[str, Any], operator: Operator) -> None:
    """Sockets hear of rounds: tests before may have stopped what brings it."""
    player = await operator.open_session(balance=1_000_000)
    await until(lambda: is_told_of_rounds(platform["base_url"], player))


@pytest.fixture
async def player(operator: Operator) -> Player:
    """A player at the dice with 100.00 EUR."""
    return await operator.open_session(balance=10_000)
