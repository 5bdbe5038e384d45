"""What PostgreSQL says while it fails over is "away", and never passes for a refusal of our own functions."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from runtime.services import Unreachable, connect_database
from runtime.settings import Settings
from storage import sessions
from storage.database import AWAY, Database, NotAdmitted, open_database
from tests.conftest import Services
from tests.support.conditions import until
from tests.support.databases import migrated_database
from tests.support.ledger import Seat, take_seat

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """The server of one database, as whoever fails it over has it."""

    name: str
    database: Database
    connection: asyncpg.Connection

    async def now(self, *statements: str) -> None:
        """Makes it so, and ends every connection, as a failover does."""
        for statement in statements:
            await self.connection.execute(statement)
        await self.connection.fetch(CUT, self.name)

    async def back(self, statement: str) -> None:
        """Undoes it, and waits until the same pool works again."""
        await self.now(statement)

        async def answers() -> bool:
            try:
                return bool(await self.database.pool.fetchval("SELECT 1"))
            except AWAY:
                return False

        await until(answers)


@pytest.fixture
async def server(services: Services) -> AsyncIterator[Server]:
    async with migrated_database(services) as url, _opened(url) as database:
        connection = await asyncpg.connect(services.stack.addresses.database_url)
        try:
            yield Server(make_url(url).database or "", database, connection)
        finally:
            await connection.close()


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    database = await open_database(url, connections=1)
    try:
        yield database
    finally:
        await database.close()


async def _open_another_session(seat: Seat) -> None:
    """The call whose own refusal, of a disabled operator, has the code 55000."""
    another = dataclasses.replace(seat.session, session_id=uuid4().hex)
    await sessions.open_session(seat.database.pool, another, seed_id=uuid4().hex, sealed_server_seed="sealed")


async def _says(seat: Seat, error: type[Exception]) -> Exception:
    """What the next call says once the connections are gone: the first one may only learn that they are."""
    for _ in range(2):
        with pytest.raises(AWAY) as caught:
            await _open_another_session(seat)
        if isinstance(caught.value, error):
            return caught.value
    raise caught.value


async def test_a_server_that_takes_no_connections_is_away_and_disables_no_operator(server: Server) -> None:
    seat = await take_seat(server.database)
    await server.now(f"ALTER DATABASE {server.name} ALLOW_CONNECTIONS false")
    refused = await _says(seat, NotAdmitted)
    assert "55000" in str(refused)
    await server.back(f"ALTER DATABASE {server.name} ALLOW_CONNECTIONS true")
    await _open_another_session(seat)


async def test_a_server_that_only_reads_is_away(server: Server) -> None:
    seat = await take_seat(server.database)
    await server.now(f"ALTER DATABASE {server.name} SET default_transaction_read_only = on")
    await _says(seat, asyncpg.ReadOnlySQLTransactionError)
    await server.back(f"ALTER DATABASE {server.name} RESET default_transaction_read_only")
    await _open_another_session(seat)


async def test_a_password_that_was_changed_says_so_and_is_taken_back(
    services: Services, server: Server, tmp_path: Path
) -> None:
    role = f"role_{uuid4().hex}"
    await server.now(f"CREATE ROLE {role} LOGIN PASSWORD 'before'")
    url = make_url(services.stack.addresses.database_url).set(username=role, password="before")
    ours = url.set(database=server.name).render_as_string(hide_password=False)
    try:
        async with _opened(ours) as database:
            await server.now(f"ALTER ROLE {role} PASSWORD 'after'")
            with pytest.raises(AWAY):  # the connection is gone
                await database.pool.fetchval("SELECT 1")
            with pytest.raises(AWAY, match=r"refuses our user or its password.*28P01.*restart") as caught:
                await database.pool.fetchval("SELECT 1")
            assert "before" not in str(caught.value)
            with pytest.raises(Unreachable, match=r"CROUPIER_DATABASE_URL: .*refuses our user"):
                await connect_database(Settings(home=tmp_path, database_url=SecretStr(ours)), connections=1)
            await server.connection.execute(f"ALTER ROLE {role} PASSWORD 'before'")
            assert await database.pool.fetchval("SELECT 1") == 1
    finally:
        await server.now(f"DROP ROLE {role}")


@pytest.mark.parametrize("state", ["57P01", "57P02", "57P03", "57P04", "57P05", "25006", "58030", "08006"])
def test_whatever_else_a_failover_says_is_away(state: str) -> None:
    """As asyncpg reads a message of the server."""
    error = asyncpg.PostgresError.new({"C": state, "M": "words"})
    assert isinstance(error, AWAY)


def test_a_refusal_of_our_functions_is_none() -> None:
    refusal = asyncpg.PostgresError.new({"C": "55000", "M": "operator acme is disabled"})
    assert not isinstance(refusal, AWAY)
