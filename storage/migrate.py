"""Brings a database to a release's schema, in two halves, while programs play.

`before` its programs start, all that they need is made: tables, columns, types and functions, beside those of
the release before, whose programs go on meanwhile. `after` the last of those has ended, what they alone
needed is dropped. Each step is one transaction, takes its locks for a moment or not at all, and is not
repeated once it is done: a migration can be interrupted anywhere, and the next one goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

import asyncpg
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from contracts.failures import one_line
from storage.connected import of_earlier_releases
from storage.database import CONNECT_TIMEOUT_S
from storage.locks import LOCK_TIMEOUT, Patience, Say, observed
from storage.made_objects import MadeObject, is_versioned
from storage.release import MIGRATIONS, CannotMigrate, Release, Standing, standing

# Two that start at once migrate one after the other. The number only names this lock.
ADVISORY_LOCK: Final = 0x43524F55
PATIENCE_S: Final = 300.0
SESSION: Final = (
    LOCK_TIMEOUT,
    "SET statement_timeout = 0",
    "SET application_name = 'croupier migrate'",
)
MADE: Final = """
    INSERT INTO schema_objects (key, digest, version) VALUES ($1, $2, $3)
    ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, version = excluded.version
"""
OVERLOADED: Final = """
    SELECT proname FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND 'function ' || proname = ANY($1::text[])
    GROUP BY proname HAVING count(*) > 1
"""
KEPT: Final = "UPDATE schema_objects SET version = $1 WHERE key = ANY($2::text[]) AND version <> $1"
WHOLE: Final = "UPDATE schema_version SET version = $1"
SERVES_FROM: Final = "UPDATE schema_version SET serves_from = $1"
FORGOTTEN: Final = "DELETE FROM schema_objects WHERE key = $1"
# PostgreSQL's refusals to replace a function or a view by one of another form.
OTHER_FORM: Final = ("42P13", "42P16")
A_NEW_VERSION: Final = "give it another name, beside the one in use (storage/functions/00_rules.sql)"


class Half(StrEnum):
    """The halves of a migration."""

    BEFORE = "before"
    AFTER = "after"


BOTH: Final = (Half.BEFORE, Half.AFTER)


@dataclass(frozen=True, slots=True)
class ToDo:
    """What each half would do, in words, and the schemas: the release's, the database's (empty for an empty
    one) and the oldest that it serves."""

    schema: str
    version: str
    serves_from: str
    before: list[str]
    after: list[str]


def _silent(text: str) -> None:
    """Nobody listens."""


def upgrade(database_url: str, *, say: Say = _silent, patience_s: float = PATIENCE_S) -> None:
    """Both halves of this release. Raises OSError or asyncpg.PostgresError when the database cannot be
    reached, and CannotMigrate."""
    asyncio.run(migrate(database_url, BOTH, say=say, patience_s=patience_s))


async def migrate(
    database_url: str,
    halves: Sequence[Half],
    *,
    release: Release | None = None,
    say: Say = _silent,
    patience_s: float = PATIENCE_S,
) -> None:
    """These halves of a release; changes nothing that is done. `say` hears of each step, in a line. Raises as
    `upgrade` does."""
    async with _opened(database_url) as (connection, observer, pid):
        patience = Patience(observer, pid, say, limit_s=patience_s)
        migration = _Migration(connection, patience, release or Release(), say)
        await patience.take("the migration", migration.lock)
        for half in halves:
            await (migration.before() if half is Half.BEFORE else migration.after())


async def to_do(database_url: str, *, release: Release | None = None) -> ToDo:
    """What is to be done. Raises as `upgrade` does."""
    chosen = release or Release()
    async with _opened(database_url) as (connection, _, _), connection.begin():
        found = await standing(connection)
    schemas = chosen.schema, found.version, found.serves_from
    if _is_newer(found, chosen):
        return ToDo(*schemas, [], [])
    made = [made.key for made in chosen.to_make(found)]
    before = [_title(step) for step in chosen.steps_after(found.revision)] + [f"make {key}" for key in made]
    after = [f"{step.revision}, second half" for step in chosen.to_contract(found)]
    return ToDo(*schemas, before, after + [f"drop {key}" for key in chosen.to_drop(found)])


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[tuple[AsyncConnection, asyncpg.Connection, int]]:
    """The connection that works, another one that looks at it, and the pid of the first."""
    async with observed(url) as observer:
        try:
            async with engine(url).connect() as connection:
                async with connection.begin():
                    for statement in SESSION:
                        await connection.exec_driver_sql(statement)
                    pid = (await connection.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one()
                yield connection, observer, pid
        except DBAPIError as error:
            raise CannotMigrate(one_line(f"PostgreSQL: {_said(error)}")) from error


class _Migration:
    """One run. What `patience` is given to do is one transaction each."""

    def __init__(self, connection: AsyncConnection, patience: Patience, release: Release, say: Say) -> None:
        self._connection, self._patience, self._release, self._say = connection, patience, release, say

    async def lock(self) -> None:
        """Until this connection ends."""
        async with self._connection.begin():
            await self._do("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)

    async def before(self) -> None:
        found = await self._standing()
        if _is_newer(found, self._release):
            self._accept_newer(found)
            return
        for step in self._release.steps_after(found.revision):
            self._say(_title(step))
            await self._patience.take(f"migration {step.revision}", partial(self._apply, step))
        await self._patience.take("the functions and views", self._make_functions)
        for made in self._release.to_make(await self._standing()):
            await self._patience.take(made.key, partial(self._make_alone, made))
        await self._finish()

    def _accept_newer(self, found: Standing) -> None:
        """The release before may come back as long as the database serves it."""
        ours = self._release.schema
        if (found.serves_from or found.revision) > ours:
            raise CannotMigrate(
                f"the database has schema {found.revision}, which no longer serves programs of this release"
                f" ({ours}): use the newer release, or restore the backup from before it"
            )
        self._say(f"the database has schema {found.revision}, and still serves this release: left as it is")

    async def _apply(self, step: Script) -> None:
        await self._connection.run_sync(partial(_run, step, self._release))

    async def _make_functions(self) -> None:
        """All in one transaction: no program sees a part of them."""
        async with self._connection.begin():
            found = await standing(self._connection)
            making = [made for made in self._release.to_make(found) if made.kind != "trigger"]
            for made in making:
                await self._make(made, found)
            keys = [made.key for made in making]
            for (name,) in await self._connection.exec_driver_sql(OVERLOADED, (keys,)):
                raise CannotMigrate(f"{name} is there with other parameters: {A_NEW_VERSION}")
        if making:
            self._say(f"made {len(making)} functions and views, of {len(self._release.objects)} objects")

    async def _make_alone(self, made: MadeObject) -> None:
        """A trigger takes a lock on its table, for as long as this takes: so one after another."""
        async with self._connection.begin():
            await self._make(made, await standing(self._connection))

    async def _make(self, made: MadeObject, found: Standing) -> None:
        try:
            await self._do(made.statement)
        except DBAPIError as error:
            if _sqlstate(error) in OTHER_FORM:
                raise CannotMigrate(one_line(f"{made.key}: {_said(error)}: {A_NEW_VERSION}")) from error
            raise
        digest = self._release.digest_of_rights(made, found) if made.kind == "rights" else made.digest
        await self._do(MADE, made.key, digest, self._release.schema)

    async def _finish(self) -> None:
        """From here on the new programs start."""
        async with self._connection.begin():
            await self._do(KEPT, self._release.schema, [made.key for made in self._release.objects])
            await self._do(WHOLE, self._release.schema)

    async def after(self) -> None:
        found = await self._standing()
        if found.version != self._release.schema:
            if _is_newer(found, self._release):
                return  # the newer release's own migration says what may go
            raise CannotMigrate("run ./croupier migrate --before first: there are steps of it still to do")
        contracts, drops = self._release.to_contract(found), self._release.to_drop(found)
        if contracts or drops:
            earlier = partial(of_earlier_releases, schema=self._release.schema)
            await self._patience.wait_for("the second half", earlier)
        for step in contracts:
            self._say(f"{step.revision}, second half")
            await self._patience.take(f"migration {step.revision}", partial(self._contract, step))
        for key in drops:
            self._say(f"drop {key}")
            await self._patience.take(key, partial(self._drop, key))

    async def _contract(self, step: Script) -> None:
        await self._connection.run_sync(partial(_run_contract, step))

    async def _drop(self, key: str) -> None:
        async with self._connection.begin():
            kind, _, name = key.partition(" ")
            await self._do(f"DROP {kind} IF EXISTS {name}")
            await self._do(FORGOTTEN, key)
            if is_versioned(key):
                await self._do(SERVES_FROM, self._release.schema)

    async def _standing(self) -> Standing:
        async with self._connection.begin():
            return await standing(self._connection)

    async def _do(self, statement: str, *arguments: object) -> None:
        await self._connection.exec_driver_sql(statement, arguments or None)


def _run(step: Script, release: Release, connection: Connection) -> None:
    """The first half of a migration, and Alembic's note of it, in one transaction."""
    context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
    with context.begin_transaction(_per_migration=True), Operations.context(context):
        connection.exec_driver_sql(LOCK_TIMEOUT)  # an earlier try may have ended without it
        step.module.upgrade()
        context.stamp(release.script, step.revision)


def _run_contract(step: Script, connection: Connection) -> None:
    """Its second half, from which on the database serves only programs that know it."""
    context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
    with context.begin_transaction(_per_migration=True), Operations.context(context):
        step.module.contract()
        connection.exec_driver_sql(SERVES_FROM, (step.revision,))


def _is_newer(found: Standing, release: Release) -> bool:
    return found.revision > release.schema


def _title(step: Script) -> str:
    return f"{step.revision}: {step.doc.splitlines()[0]}"


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _said(error: DBAPIError) -> str:
    """PostgreSQL's own words, without the drivers' around them, and the next step where there is one."""
    cause = getattr(error.orig, "__cause__", None) or error
    said = f"{type(cause).__name__}: {cause}"
    if isinstance(cause, asyncpg.InsufficientPrivilegeError):
        return f"{said}: name the owner of the tables in CROUPIER_OWNER_DATABASE_URL"
    return said


def engine(database_url: str) -> AsyncEngine:
    """For Alembic. The driver reads the address itself, as everywhere else: SQLAlchemy would hand it the
    address's parameters under names that it does not know."""
    connect = partial(asyncpg.connect, database_url, timeout=CONNECT_TIMEOUT_S)
    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)


def alembic_config(database_url: str) -> Config:
    """For Alembic's own commands, which make tables and types, but no functions."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["database_url"] = database_url
    return config
