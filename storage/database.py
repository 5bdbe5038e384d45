"""The database as the rest of the program holds it: one pool for the ledger's functions, and one
SQLModel engine for the cold paths. Opened by the composition root, closed by it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
import sqlalchemy.exc
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 10.0


# What a database raises that is away, restarting, failing over or too busy: the same call may succeed later.
AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What asyncpg says when the server closes a connection between two messages of one statement.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
)


@dataclass(frozen=True, slots=True)
class Database:
    """`pool` runs one statement at a time, each its own transaction, so that a cancelled task can never
    hand back a connection with a transaction open. `engine` serves sessions and history."""

    pool: asyncpg.Pool
    engine: AsyncEngine

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A SQLModel session in one transaction: committed at the end, rolled back on any exception."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    async def close(self) -> None:
        await self.pool.close()
        await self.engine.dispose()


async def open_database(url: str, *, connections: int = 10) -> Database:
    """Opens `url` (`postgresql://user:password@host:port/name`) with at most `connections` for the ledger
    and a few more for the cold paths. Raises OSError or asyncpg.PostgresError when it cannot be reached."""
    pool = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=connections,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        init=_prepare_connection,
        reset=_keep_connection,
    )
    engine = create_async_engine(sqlalchemy_url(url), pool_size=2, max_overflow=4, pool_pre_ping=True)
    return Database(pool, engine)


def sqlalchemy_url(url: str) -> str:
    """`url` with SQLAlchemy's name of the driver, password included."""
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=_encode_json, decoder=json.loads, schema="pg_catalog")


def _encode_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


async def _keep_connection(connection: asyncpg.Connection) -> None:
    """Nothing here changes a connection's state, so the pool's default reset, a round trip for each
    statement, would only cost."""
