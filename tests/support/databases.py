"""Databases of a test's own. One with tables is cloned from a template, which is migrated once for each
server: a clone costs a tenth of a migration, and has the same functions, owners and grants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

import asyncpg
from sqlalchemy import make_url

from storage.database import Database, open_database
from storage.migrate import upgrade
from tests.conftest import Services
from tests.support.conditions import until

TEMPLATE: Final = "croupier_template"
IN_USE: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1"


@asynccontextmanager
async def migrated_database(services: Services) -> AsyncIterator[str]:
    """The owner's URL of a database with every table and nothing in them. It goes with the block."""
    server = services.stack.addresses.database_url
    async with _session(server) as connection:
        await _ensure_template(connection, server)
    # The other strategy, FILE_COPY, waits for checkpoints: seconds on a busy disk.
    async with _database(server, f"TEMPLATE {TEMPLATE} STRATEGY WAL_LOG") as url:
        yield url


@asynccontextmanager
async def own_database(services: Services, *, connections: int) -> AsyncIterator[Database]:
    """The same, opened as the owner."""
    async with migrated_database(services) as url:
        opened = await open_database(url, connections=connections)
        try:
            yield opened
        finally:
            await opened.close()


@asynccontextmanager
async def empty_database(services: Services) -> AsyncIterator[str]:
    """The owner's URL of a database without tables. It goes with the block."""
    async with _database(services.stack.addresses.database_url, "") as url:
        yield url


async def owner_url(services: Services, database: Database) -> str:
    """The owner's URL of a database that is open."""
    name = await database.pool.fetchval("SELECT current_database()")
    return _url(services.stack.addresses.database_url, name)


def as_application(services: Services, url: str) -> str:
    """The same database for the role that our programs have."""
    return _url(services.stack.addresses.application_database_url, make_url(url).database or "")


def as_reader(services: Services, url: str) -> str:
    """The same database for the role that can read and nothing else."""
    reader = services.stack.addresses.reader_database_url
    assert reader is not None
    return _url(reader, make_url(url).database or "")


def as_console(services: Services, url: str) -> str:
    """The same database for the console's role, which reads what is no secret."""
    console = services.stack.addresses.console_database_url
    assert console is not None
    return _url(console, make_url(url).database or "")


@asynccontextmanager
async def _database(server: str, how: str) -> AsyncIterator[str]:
    name = f"own_{uuid4().hex}"
    async with _session(server) as connection:
        await connection.execute(f"CREATE DATABASE {name} {how}")
    try:
        yield _url(server, name)
    finally:
        async with _session(server) as connection:
            await until(lambda: _dropped(connection, name))


async def _dropped(connection: asyncpg.Connection, name: str) -> bool:
    """PostgreSQL waits for five seconds for the connections that it ends."""
    try:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    except asyncpg.ObjectInUseError:
        return False
    return True


async def _ensure_template(connection: asyncpg.Connection, server: str) -> None:
    """It is marked as a template when it is whole. One without the mark is of an attempt that failed."""
    if await connection.fetchval("SELECT datistemplate FROM pg_database WHERE datname = $1", TEMPLATE):
        return
    await connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
    await connection.execute(f"CREATE DATABASE {TEMPLATE}")
    await asyncio.to_thread(upgrade, _url(server, TEMPLATE))
    await connection.execute(f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")

    async def left() -> bool:
        return bool(await connection.fetchval(IN_USE, TEMPLATE) == 0)

    await until(left)  # a database that is in use cannot be cloned
    await connection.execute(f"ALTER DATABASE {TEMPLATE} IS_TEMPLATE true")


@asynccontextmanager
async def _session(server: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(server)
    try:
        yield connection
    finally:
        await connection.close()


def _url(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)
