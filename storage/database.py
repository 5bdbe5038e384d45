"""The database: one pool, opened and closed by the composition root."""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from contracts.failures import bounded

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 10.0
# When every connection waits for a server that says nothing, whoever wants another one is told so.
ACQUIRE_TIMEOUT_S = 4.0
# A statement that ran out of time is cancelled by the server before its connection is used again. A server
# that says nothing does not cancel either: then the connection is closed.
RELEASE_TIMEOUT_S = 2.0


class NotAdmitted(asyncpg.PostgresConnectionError):  # type: ignore[misc]  # asyncpg has no types
    """PostgreSQL is there and lets us not in: a standby, a server that is being fenced, another password."""


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
    # A standby, until the address leads to the new primary.
    asyncpg.ReadOnlySQLTransactionError,
    # The disk below it fails, which is how many failovers begin.
    asyncpg.PostgresIOError,
)
# Of class 28: the name or the password is not what the server knows.
LOGIN_REFUSED: Final = asyncpg.InvalidAuthorizationSpecificationError


LEDGER_STATE: Final = "SELECT ledger_state_v1()"


class LedgerRestored(OSError):
    """The ledger was put back to an earlier moment, and nobody plays on it before it is recovered. To whoever
    calls it is away until then."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the ledger is {state}: it opens when its recovery is done")


@dataclass(frozen=True, slots=True)
class Database:
    """`pool` runs one statement at a time, each its own transaction, so that a cancelled task can never
    hand back a connection with a transaction open."""

    pool: asyncpg.Pool

    async def close(self) -> None:
        await self.pool.close()


class Pool(asyncpg.Pool):  # type: ignore[misc]  # asyncpg has no types
    """Nobody waits without end for a connection, nor for its return."""

    # asyncpg's own parameters, in seconds.
    def acquire(self, *, timeout: Any = None) -> Any:
        # Where a connection is idle or can be made, nobody waits for another's, and connecting has a limit of
        # its own; asyncpg would make a task to guard that. Its queue of those has no public name.
        if timeout is None and self._queue.empty():
            timeout = ACQUIRE_TIMEOUT_S
        return super().acquire(timeout=timeout)

    async def release(self, connection: Any, *, timeout: Any = RELEASE_TIMEOUT_S) -> None:  # noqa: ASYNC109 - its own
        await super().release(connection, timeout=timeout)


async def open_database(url: str, *, connections: int = 10, plays: bool = False) -> Database:
    """Opens `url` (`postgresql://user:password@host:port/name`) with at most `connections`. Where it `plays`
    rounds, each new connection makes sure that the ledger was not restored. Raises OSError, which
    LedgerRestored is one of, or asyncpg.PostgresError when it cannot be reached."""
    pool = Pool(
        url,
        min_size=1,
        max_size=connections,
        max_queries=50_000,
        max_inactive_connection_lifetime=300,
        loop=None,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        connect=_connect,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        init=_prepare_to_play if plays else _prepare_connection,
        reset=_keep_connection,
    )
    return Database(await pool)


async def _prepare_to_play(connection: asyncpg.Connection) -> None:
    """A database that was restored was restarted, so that no connection of before it is left."""
    with suppress(asyncpg.UndefinedFunctionError):  # an older schema, of which storage.schema tells
        if (state := await connection.fetchval(LEDGER_STATE)) not in (None, "open"):
            raise LedgerRestored(state)
    await _prepare_connection(connection)


async def _connect(*arguments: Any, **options: Any) -> asyncpg.Connection:
    """As asyncpg connects. Whatever PostgreSQL refuses here it says of the connection: in a statement, the
    same code (55000, object_not_in_prerequisite_state) is a refusal of our own functions. Raises
    NotAdmitted, and what AWAY has."""
    try:
        return await asyncpg.connect(*arguments, **options)
    except AWAY:
        raise
    except asyncpg.PostgresError as refusal:
        raise NotAdmitted(_words(refusal)) from None


def _words(refusal: asyncpg.PostgresError) -> str:
    said = bounded(f"{refusal.sqlstate}: {refusal.args[0]}")
    if isinstance(refusal, LOGIN_REFUSED):
        return (
            f"PostgreSQL refuses our user or its password ({said}): if they were changed, set"
            " CROUPIER_DATABASE_URL and restart this program"
        )
    return f"PostgreSQL takes no connection of ours now ({said})"


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=_encode_json, decoder=json.loads, schema="pg_catalog")


def _encode_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


async def _keep_connection(connection: asyncpg.Connection) -> None:
    """Nothing here changes a connection's state, so the pool's default reset, a round trip for each
    statement, would only cost."""
