"""`croupier migrate`: runs the halves, line by line, or says what they would do."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any, Final, TypeVar

import asyncpg
import typer

from cli.options import told
from cli.services import with_database
from contracts.failures import error_line
from runtime.settings import Settings
from storage.migrate import Half, ToDo, to_do
from storage.migrate import migrate as migrated
from storage.release import CannotMigrate

DONE: Final = 0
TO_DO: Final = 1
CANNOT_MIGRATE: Final = 2
INTERRUPTED: Final = 130

T = TypeVar("T")


class Stopped(Exception):
    """It did not come to its end; the line is said, and this is the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(settings: Settings, *, before: bool, after: bool, patience_s: float, as_json: bool = False) -> int:
    """Returns 0 when it is done, 2 when it cannot be, 130 when it was interrupted."""
    halves = [half for half, wanted in ((Half.BEFORE, before), (Half.AFTER, after)) if wanted]
    try:
        _at(settings, lambda url: migrated(url, halves, say=_say, patience_s=patience_s))
        found = _at(settings, to_do)
    except Stopped as stopped:
        return stopped.code
    lines = [f"the database has schema {found.version}, and serves programs from {found.serves_from} on"]
    if Half.AFTER not in halves and found.after:
        lines.append("when the last old program has ended: ./croupier migrate --after")
    told(asdict(found), *lines, as_json=as_json)
    return DONE


def check(settings: Settings, *, as_json: bool = False) -> int:
    """Returns 0 when there is nothing to do, 1 when there is, 2 when it cannot be said."""
    try:
        found = _at(settings, to_do)
    except Stopped as stopped:
        return stopped.code
    told(asdict(found), *_lines(found), as_json=as_json)
    return TO_DO if found.before or found.after else DONE


def _lines(found: ToDo) -> list[str]:
    served = f", and serves programs from {found.serves_from} on" if found.serves_from else ""
    has = (
        f"the database has schema {found.version}{served}" if found.version else "the database has no schema"
    )
    lines = [f"this release is made for schema {found.schema}; {has}"]
    for half, steps in (("--before", found.before), ("--after", found.after)):
        lines += [f"./croupier migrate {half}:", *(f"    {step}" for step in steps)] if steps else []
    return lines if found.before or found.after else [*lines, "nothing to do"]


def _at(settings: Settings, work: Callable[[str], Coroutine[Any, Any, T]]) -> T:
    """What `work` returns of the owner's database. Raises Stopped, and says why."""
    address = settings.owner_database_url or with_database(settings).database_url
    if address is None:
        raise _stopped(
            f"the stack in {settings.home} is not up: name a database of your own, as its owner, with"
            " CROUPIER_OWNER_DATABASE_URL"
        )
    try:
        return asyncio.run(work(address.get_secret_value()))
    except CannotMigrate as problem:
        raise _stopped(str(problem)) from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _stopped(f"PostgreSQL: {error_line(error)}") from None
    except KeyboardInterrupt:
        raise _stopped("interrupted: what is done stays, and the next run goes on", INTERRUPTED) from None


def _stopped(why: str, code: int = CANNOT_MIGRATE) -> Stopped:
    _say(f"croupier: {why}")
    return Stopped(code)


def _say(text: str) -> None:
    typer.echo(text, err=True)
