"""The schema: made by migrations, and the same as the SQLModel tables say."""

import asyncio
from uuid import uuid4

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

import storage.tables  # noqa: F401 - registers the tables
from storage.database import Database, sqlalchemy_url
from storage.migrate import upgrade
from tests.conftest import Services


async def _new_database(services: Services, database: Database) -> str:
    name = f"scratch_{uuid4().hex}"
    await database.pool.execute(f'CREATE DATABASE "{name}"')
    url = make_url(services.stack.addresses.database_url).set(database=name)
    return url.render_as_string(hide_password=False)


async def test_migrations_make_what_the_tables_say(services: Services, database: Database) -> None:
    url = await _new_database(services, database)
    await asyncio.to_thread(upgrade, url)
    engine = create_async_engine(sqlalchemy_url(url))
    async with engine.connect() as connection:
        differences = await connection.run_sync(_differences)
    await engine.dispose()
    assert differences == []


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), SQLModel.metadata))


async def test_two_upgrades_at_once_and_a_third_later_leave_one_schema(
    services: Services, database: Database
) -> None:
    url = await _new_database(services, database)
    await asyncio.gather(asyncio.to_thread(upgrade, url), asyncio.to_thread(upgrade, url))
    await asyncio.to_thread(upgrade, url)
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    assert await connection.fetchval("SELECT count(*) FROM pg_proc WHERE proname = 'settle_round'") == 1
    await connection.close()
