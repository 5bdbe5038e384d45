"""Which schema a database has, and whether a program may work with it: asked once, as the program starts."""

import re
from pathlib import Path
from typing import Final

import asyncpg

VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"
FUNCTIONS: Final = Path(__file__).parent / "functions"
CALLED: Final = re.compile(r"^CREATE FUNCTION (\w+_v\d+)", re.MULTILINE)
STANDING: Final = """
    SELECT version, serves_from,
           ARRAY(SELECT name FROM unnest($1::text[]) name WHERE to_regproc(name) IS NULL) AS missing
    FROM schema_version
"""


class WrongSchema(Exception):
    """The database is of another release than this program. The text says what to do, in one line."""


def newest(versions: Path = VERSIONS) -> str:
    """The schema that a release is made for: the number of its last migration, such as 0019."""
    return max(path.name[:4] for path in versions.glob("[0-9]*.py"))


def called(functions: Path = FUNCTIONS) -> list[str]:
    """The names of the database functions that a release's programs may call."""
    return [name for path in sorted(functions.glob("*.sql")) for name in CALLED.findall(path.read_text())]


async def check(pool: asyncpg.Pool) -> str:
    """Returns the oldest schema whose programs may be running, or come back. Raises WrongSchema when the
    database is too old for this program, or too new. A newer one is right as long as it says that it serves
    programs of this schema: so the next release's first half may be applied while this program runs, and this
    program may come back after it."""
    ours = newest()
    try:
        row = await pool.fetchrow(STANDING, called())
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        row = None  # it is from before there was such a table, or its migration has not come to the rights
    if row is None or row["version"] < ours:
        has = "no schema of this release" if row is None else f"schema {row['version']}"
        raise WrongSchema(
            f"the database has {has}, and this program needs {ours}: run ./croupier migrate --before of this"
            " release first"
        )
    if row["serves_from"] > ours:
        raise WrongSchema(
            f"the database has schema {row['version']}, which serves programs from {row['serves_from']} on,"
            f" and this program is of {ours}: start the newer release"
        )
    if row["missing"]:
        raise WrongSchema(
            f"the database lacks {', '.join(row['missing'][:3])}, which this program calls: run"
            " ./croupier migrate --before of this release first"
        )
    serves_from: str = row["serves_from"]
    return serves_from


async def serves_from(pool: asyncpg.Pool) -> str:
    """The oldest schema whose programs may be running, or come back, by now. Raises what the pool raises."""
    oldest: str = await pool.fetchval("SELECT serves_from FROM schema_version")
    return oldest
