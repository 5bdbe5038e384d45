"""Whatever an address says of a database holds for everything that uses it: pool, history and migrations."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from contracts.views import RoundFilter
from runtime.services import Unreachable, connect_database
from runtime.settings import Settings
from storage import history, schema
from storage.connected import name_of
from storage.database import Database, open_database
from storage.migrate import upgrade
from tests.conftest import Services
from tests.support.conditions import until
from tests.support.databases import empty_database

PARAMETERS = "application_name=croupier-test&sslmode=prefer&target_session_attrs=any&options=-c%20jit%3Doff"


async def test_parameters_of_an_address_hold_everywhere(services: Services) -> None:
    async with empty_database(services) as url:
        url = f"{url}?{PARAMETERS}"
        await asyncio.to_thread(upgrade, url)
        await asyncio.to_thread(upgrade, url)
        database = await open_database(url, connections=2)
        try:
            assert (
                await database.pool.fetchval("SELECT current_setting('application_name')") == "croupier-test"
            )
            assert await database.pool.fetchval("SELECT current_setting('jit')") == "off"
            wanted = RoundFilter(operator_id="nobody")
            assert await history.page(database.pool, wanted, before=None, limit=5) == ([], None)
        finally:
            await database.close()


NAMES = """
    SELECT DISTINCT application_name FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'croupier_app' AND application_name LIKE 'croupier %'
"""


async def test_the_server_shows_which_program_a_connection_is_of(
    platform: dict[str, Any], database: Database
) -> None:
    """Whoever looks for what holds a lock, or keeps a transaction open, reads it there."""
    programs = {"ingress", "relay", "statistics", "webhooks", "reconciler"}

    async def all_are_there() -> bool:
        rows = await database.pool.fetch(NAMES)
        return {row["application_name"] for row in rows} >= {
            name_of(name, schema.newest()) for name in programs
        }

    await until(all_are_there)


async def test_the_name_that_an_address_has_counts(services: Services, tmp_path: Path) -> None:
    address = services.stack.addresses.application_database_url
    for parameters, shown in (("?application_name=ours", "ours"), ("?sslmode=prefer", "croupier ")):
        settings = Settings(home=tmp_path, database_url=SecretStr(f"{address}{parameters}"))
        connected = await connect_database(settings, connections=1)
        name = await connected.pool.fetchval("SELECT current_setting('application_name')")
        await connected.close()
        assert name.startswith(shown)


async def test_what_neither_driver_nor_server_knows_is_refused_by_name(
    services: Services, tmp_path: Path
) -> None:
    address = services.stack.addresses.application_database_url
    settings = Settings(home=tmp_path, database_url=SecretStr(f"{address}?nonsense=1"))
    with pytest.raises(Unreachable, match=r'CROUPIER_DATABASE_URL.*"nonsense"'):
        await connect_database(settings, connections=1)
