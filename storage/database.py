"""The database: one pool, opened and closed by the composition root."""

import json
from dataclasses import dataclass
from typing import Final

import asyncpg

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 10.0


# The errors of a database that is away, restarting, failing over or too busy: the same call may succeed
# later.
AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # asyncpg's error when the server closes a connection between two messages of one statement.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
)


@dataclass(frozen=True, slots=True)
class Database:
    """`pool` runs one statement at a time, each its own transaction, so that a cancelled task can never
    hand back a connection with a transaction open."""

    pool: asyncpg.Pool

    async def close(self) -> None:
        await self.pool.close()


async def open_database(url: str, *, connections: int = 10) -> Database:
    """Opens `url` (`postgresql://user:password@host:port/name`) with at most `connections`. Raises OSError or
    asyncpg.PostgresError when it cannot be reached."""
    pool = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=connections,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        init=_prepare_connection,
        reset=_keep_connection,
    )
    return Database(pool)


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=_encode_json, decoder=json.loads, schema="pg_catalog")


def _encode_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


async def _keep_connection(connection: asyncpg.Connection) -> None:
    """Nothing here changes a connection's state, so the pool's default reset, a round trip for each
    statement, would only cost."""
