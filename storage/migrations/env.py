"""Alembic's entry: runs the versions over the program's own driver."""

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlmodel import SQLModel

import storage.tables  # noqa: F401 - registers the tables on SQLModel's metadata
from storage.migrate import engine


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=SQLModel.metadata)
    with context.begin_transaction():
        context.run_migrations()


async def _main() -> None:
    opened = engine(context.config.attributes["database_url"])
    async with opened.connect() as connection:
        await connection.run_sync(_run)
    await opened.dispose()


asyncio.run(_main())
