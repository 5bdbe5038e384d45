"""Programs of ours that are connected to a database, by the names that their connections have there."""

from typing import Final

import asyncpg

# Of every role: PostgreSQL shows names to whoever asks. A program from before names had a schema has none.
CONNECTED: Final = r"""
    SELECT DISTINCT split_part(application_name, ' ', 2) AS program,
           coalesce(substring(application_name FROM ' ([0-9]{4})$'), '') AS schema
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name ~ '^croupier [a-z_-]+( [0-9]{4})?$'
      AND application_name <> 'croupier migrate'
    ORDER BY 1, 2
"""


def name_of(program: str, schema: str) -> str:
    """Of the connections of a program that is made for this schema."""
    return f"croupier {program} {schema}"


async def of_earlier_releases(connection: asyncpg.Connection, schema: str) -> str:
    """The programs that are made for an earlier schema, in words; empty when none is connected."""
    rows = await connection.fetch(CONNECTED)
    found = [(row["program"], row["schema"] or "unknown") for row in rows if row["schema"] < schema]
    return ", ".join(f"{program} (schema {made_for})" for program, made_for in found)
