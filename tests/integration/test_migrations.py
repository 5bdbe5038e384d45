"""The schema: made by migrations, and the same as the SQLModel tables say."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

import storage.tables  # noqa: F401 - registers the tables
from storage.database import sqlalchemy_url
from storage.migrate import upgrade
from tests.conftest import Services
from tests.support.databases import empty_database, migrated_database


@pytest.fixture
async def url(services: Services) -> AsyncIterator[str]:
    async with empty_database(services) as made:
        yield made


async def test_migrations_make_what_the_tables_say(url: str) -> None:
    await asyncio.to_thread(upgrade, url)
    engine = create_async_engine(sqlalchemy_url(url))
    async with engine.connect() as connection:
        differences = await connection.run_sync(_differences)
    await engine.dispose()
    assert differences == []


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), SQLModel.metadata))


async def test_two_upgrades_at_once_and_a_third_later_leave_one_schema(url: str) -> None:
    await asyncio.gather(asyncio.to_thread(upgrade, url), asyncio.to_thread(upgrade, url))
    await asyncio.to_thread(upgrade, url)
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    assert await connection.fetchval("SELECT count(*) FROM pg_proc WHERE proname = 'settle_round'") == 1
    await connection.close()


# Who owns what and who may do what, with every function's text and settings.
ACCESS: Final = """
    SELECT 'table', relname, relowner, relacl::text, '' FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'column', attrelid::regclass::text || '.' || attname, 0, attacl::text, '' FROM pg_attribute
    WHERE attacl IS NOT NULL AND attrelid IN (
        SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace
    )
    UNION ALL
    SELECT 'function', oid::regprocedure::text, proowner, proacl::text, pg_get_functiondef(oid) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'schema', nspname, nspowner, nspacl::text, '' FROM pg_namespace WHERE nspname = 'public'
    UNION ALL
    SELECT 'database', '', datdba, datacl::text, '' FROM pg_database WHERE datname = current_database()
"""


async def test_a_clone_gives_the_rights_that_a_migration_gives(services: Services, url: str) -> None:
    """Tests of who may do what may use either."""
    await asyncio.to_thread(upgrade, url)
    async with migrated_database(services) as clone:
        migrated, cloned = [await _access(of) for of in (url, clone)]
    assert cloned == migrated
    assert any("croupier_app" in str(row) for row in cloned)


async def _access(url: str) -> set[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return {tuple(row) for row in await connection.fetch(ACCESS)}
    finally:
        await connection.close()
