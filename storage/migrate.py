"""Brings a database to this program's schema: Alembic's versions first, then the functions, made again."""

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from storage.database import CONNECT_TIMEOUT_S

MIGRATIONS = Path(__file__).parent / "migrations"
FUNCTIONS = Path(__file__).parent / "functions"
# Two programs that start at once migrate one after the other. The number only names this lock.
ADVISORY_LOCK = 0x43524F55
MADE: Final = re.compile(r"^CREATE (FUNCTION|VIEW) (\w+)", re.MULTILINE)


def upgrade(database_url: str) -> None:
    """Upgrades the schema; changes nothing when it is current. Raises OSError or asyncpg.PostgresError
    when the database cannot be reached, alembic.util.CommandError for a schema newer than this program."""
    asyncio.run(_upgrade(database_url))


async def _upgrade(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
        await asyncio.to_thread(command.upgrade, alembic_config(database_url), "head")
        await _make_functions(connection)
    finally:
        await connection.close()


async def _make_functions(connection: asyncpg.Connection) -> None:
    """Drops what the files make, with the triggers that hang on it, and makes it again, so that the files are
    its one source. A migration drops a function that no file makes any more."""
    files = [path.read_text() for path in sorted(FUNCTIONS.glob("*.sql"))]
    async with connection.transaction():
        for kind, name in MADE.findall("\n".join(files)):
            await connection.execute(f"DROP {kind} IF EXISTS {name} CASCADE")
        for text in files:
            await connection.execute(text)


def engine(database_url: str) -> AsyncEngine:
    """For Alembic. The driver reads the address itself, as everywhere else: SQLAlchemy would hand it the
    address's parameters under names that it does not know."""
    connect = partial(asyncpg.connect, database_url, timeout=CONNECT_TIMEOUT_S)
    return create_async_engine("postgresql+asyncpg://", async_creator=connect)


def alembic_config(database_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["database_url"] = database_url
    return config
