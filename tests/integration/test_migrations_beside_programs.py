"""Migrations while programs play: what they lock, whom they wait for, and where they can be interrupted."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from sqlalchemy import Engine, event

from contracts.rounds import RoundState
from runtime.settings import PROJECT_ROOT, to_environment
from storage import rounds, schema
from storage.database import Database, open_database
from storage.migrate import BOTH, Half, migrate, to_do
from storage.release import CannotMigrate, Release
from tests.conftest import Services
from tests.integration.test_migrations import access_of
from tests.support.conditions import HANG_S, until
from tests.support.databases import as_application, empty_database, migrated_database
from tests.support.ledger import take_seat
from tests.support.releases import NEXT, next_release

A_COMMENT: Final = ("v_blocked boolean;", "v_blocked boolean; -- for a test")
HELPER: Final = "\nCREATE FUNCTION a_helper() RETURNS int LANGUAGE sql AS $$\n    SELECT 1\n$$;\n"
CALLED: Final = "\nCREATE FUNCTION a_call_v1() RETURNS int LANGUAGE sql AS $$\n    SELECT 1\n$$;\n"
GUARD: Final = """
CREATE TRIGGER a_guard BEFORE DELETE ON operators
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""
COLUMN: Final = ("ALTER TABLE rounds ADD COLUMN channel text",)


@pytest.fixture
async def url(services: Services) -> AsyncIterator[str]:
    async with migrated_database(services) as made:
        yield made


@asynccontextmanager
async def session(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def called(url: str, name: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of a program that calls itself so."""
    async with session(url) as connection:
        await connection.execute(f"SET application_name = '{name}'")
        yield connection


@asynccontextmanager
async def a_reader(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Has read rounds, and its transaction stays open: a report, a dump, a forgotten console."""
    async with session(url) as connection:
        await connection.execute("SET application_name = 'a forgotten console'")
        await connection.execute("BEGIN")
        await connection.fetch("SELECT * FROM rounds")
        yield connection


def only_reads(statement: str) -> bool:
    return statement.lstrip().startswith(("SELECT", "SET ", "select"))


@contextmanager
def statements() -> Iterator[list[str]]:
    """What migrations send while the block runs, but for what only reads."""
    sent: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not only_reads(statement):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_a_schema_that_is_current_is_left_alone(url: str) -> None:
    with statements() as sent:
        await migrate(url, BOTH)
    assert [text for text in sent if not text.startswith("UPDATE schema_")] == []
    found = await to_do(url)
    assert (found.before, found.after) == ([], [])


async def test_only_a_function_whose_text_changed_is_made_and_keeps_its_rights(
    url: str, tmp_path: Path
) -> None:
    before = await access_of(url)
    release = next_release(tmp_path, edits={"30_reserve.sql": A_COMMENT})
    with statements() as sent:
        await migrate(url, BOTH, release=release)
    made = [text.split("(")[0] for text in sent if text.startswith("CREATE")]
    assert made == ["CREATE OR REPLACE FUNCTION reserve_round_v1"]
    changed = before ^ await access_of(url)
    assert {row[1] for row in changed} == {"reserve_round_v1(bet_v1)"}
    assert {row[3] for row in changed} == {
        next(row[3] for row in before if row[1] == "reserve_round_v1(bet_v1)")
    }
    assert all("SECURITY DEFINER" in str(row[4]) for row in changed)


async def test_functions_and_guards_are_made_beside_an_open_reader(url: str, tmp_path: Path) -> None:
    """A function that was dropped and made anew would wait for the reader, and every bet for that."""
    release = next_release(
        tmp_path,
        edits={
            "30_reserve.sql": A_COMMENT,
            "10_guards.sql": ("BEFORE DELETE ON rounds", "BEFORE DELETE OR INSERT ON rounds"),
        },
    )
    async with a_reader(url):
        async with asyncio.timeout(HANG_S):
            await migrate(url, BOTH, release=release)


async def test_a_lock_in_the_way_is_named_and_bets_go_on_meanwhile(
    services: Services, url: str, tmp_path: Path
) -> None:
    """The interleaving that must not hurt: the migration waits for a reader, and a bet comes after it."""
    said: list[str] = []
    async with a_reader(url) as reader, opened(url) as database:
        seat = await take_seat(database, balance=1_000)
        pid = reader.get_server_pid()
        running = asyncio.create_task(
            migrate(url, BOTH, release=next_release(tmp_path, expand=COLUMN), say=said.append)
        )
        await until(lambda: _said(said, f"pid {pid} (application 'a forgotten console'", times=2))
        bet = seat.bet()
        assert (await rounds.reserve(database.pool, bet)).state is RoundState.PENDING
        assert not running.done(), "the reader is still there"
        await reader.execute("COMMIT")
        await running
        assert await database.pool.fetchval("SELECT version FROM schema_version") == NEXT


async def _said(said: list[str], what: str, *, times: int) -> bool:
    return sum(what in line for line in said) >= times


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = await open_database(url, connections=2)
    try:
        yield database
    finally:
        await database.close()


async def test_patience_ends_with_one_line_and_the_next_try_goes_on(url: str, tmp_path: Path) -> None:
    release = next_release(tmp_path, expand=COLUMN)
    async with a_reader(url) as reader:
        with pytest.raises(
            CannotMigrate, match=rf"migration 9001 .* pid {reader.get_server_pid()} .*run this again"
        ):
            await migrate(url, BOTH, release=release, patience_s=0)
    assert (await to_do(url, release=release)).before[0] == "9001: made up"
    await migrate(url, BOTH, release=release)
    assert (await to_do(url, release=release)).before == []


def everything(folder: Path) -> Release:
    """A release that does all that one can do."""
    return next_release(
        folder,
        expand=(*COLUMN, "CREATE TYPE bet_v2 AS (note text)"),
        contract=("DROP TABLE schema_contract_test",),
        edits={
            "30_reserve.sql": A_COMMENT,
            "20_ledger.sql": ("r.brand\nFROM rounds r", "r.brand, r.channel\nFROM rounds r"),
            "10_guards.sql": ("BEFORE DELETE ON rounds", "BEFORE DELETE OR INSERT ON rounds"),
            "99_new.sql": ("", HELPER),
        },
    )


INDEX: Final = """
from storage.online import create_index_beside_writers


def upgrade() -> None:
    create_index_beside_writers("rounds_by_request", "rounds", ["request_id"])
"""


async def test_bets_go_on_while_an_index_is_built_beside_a_reader(url: str, tmp_path: Path) -> None:
    """It may wait for the reader, whose snapshot is older; a bet waits for neither."""
    async with a_reader(url) as reader, opened(url) as database:
        seat = await take_seat(database, balance=1_000)
        running = asyncio.create_task(migrate(url, BOTH, release=_with_an_index(tmp_path)))
        await until(lambda: _is_there(database, "rounds_by_request"))
        assert (await rounds.reserve(database.pool, seat.bet())).state is RoundState.PENDING
        await reader.execute("COMMIT")
        await running
    assert "(request_id)" in await _definition(url)


async def _is_there(database: Database, name: str) -> bool:
    return bool(await database.pool.fetchval("SELECT to_regclass($1) IS NOT NULL", name))


async def test_an_index_is_built_over_what_an_earlier_try_left(url: str, tmp_path: Path) -> None:
    async with session(url) as connection:
        await connection.execute("CREATE INDEX rounds_by_request ON rounds (mode)")
    await migrate(url, BOTH, release=_with_an_index(tmp_path))
    assert "(request_id)" in await _definition(url)


def _with_an_index(folder: Path) -> Release:
    release = next_release(folder, expand=())
    (path,) = release.versions.glob(f"{NEXT}*.py")
    path.write_text(path.read_text().partition("def upgrade")[0] + INDEX)
    return release


async def _definition(url: str) -> str:
    async with session(url) as connection:
        found: str = await connection.fetchval("SELECT pg_get_indexdef('rounds_by_request'::regclass)")
        return found


class Interrupted(Exception):
    """As if the process had ended here."""


async def test_interrupted_at_every_statement_it_ends_as_if_it_never_had_been(
    services: Services, url: str, tmp_path: Path
) -> None:
    """Each try is interrupted at the first statement at which none was before."""
    old = {"98_old.sql": ("", HELPER.replace("a_", "an_old_") + GUARD)}
    earlier, release = next_release(tmp_path / "earlier", edits=old), everything(tmp_path)
    async with migrated_database(services) as whole:
        for each in (url, whole):
            await migrate(each, BOTH, release=earlier)
            async with session(each) as connection:
                await connection.execute("CREATE TABLE schema_contract_test ()")
        await migrate(whole, BOTH, release=release)
        interrupted = await _interrupt_everywhere(url, release)
        assert await access_of(url) == await access_of(whole)
    for fragment in (
        "ADD COLUMN",
        "UPDATE alembic",
        "REPLACE FUNCTION",
        "REPLACE VIEW",
        "REPLACE TRIGGER",
        "DO $$",
    ):
        assert any(fragment in statement for statement in interrupted), fragment
    for fragment in (
        "SET version",
        "DROP TABLE",
        "SET serves_from",
        "DROP trigger",
        "DROP function",
        "DELETE",
    ):
        assert any(fragment in statement for statement in interrupted), fragment
    async with session(url) as connection:
        assert await connection.fetchval("SELECT to_regproc('an_old_helper') IS NULL")
        assert tuple(await connection.fetchrow("SELECT version, serves_from FROM schema_version")) == (
            NEXT,
            NEXT,
        )


async def _interrupt_everywhere(url: str, release: Release) -> list[str]:
    """Returns the statements at which a try was interrupted: all that the migration sends."""
    interrupted: list[tuple[str, str]] = []
    while True:
        with _interrupted_unless_in(interrupted):
            try:
                await migrate(url, BOTH, release=release)
            except Interrupted:
                continue
        return [statement for statement, _ in interrupted]


@contextmanager
def _interrupted_unless_in(interrupted: list[tuple[str, str]]) -> Iterator[None]:
    def interrupt(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        this = statement, repr(parameters)
        if not only_reads(statement) and this not in interrupted:
            interrupted.append(this)
            raise Interrupted

    event.listen(Engine, "before_cursor_execute", interrupt)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", interrupt)


async def test_what_left_the_files_is_dropped_in_the_second_half_alone(url: str, tmp_path: Path) -> None:
    """Then programs that call it are served no more."""
    granted = ("'deposit_v1'", "'a_call_v1', 'deposit_v1'")
    await migrate(
        url,
        BOTH,
        release=next_release(
            tmp_path / "earlier", edits={"98_old.sql": ("", CALLED), "90_access.sql": granted}
        ),
    )
    release = next_release(tmp_path, expand=())
    await migrate(url, [Half.BEFORE], release=release)
    async with session(url) as connection:
        assert await connection.fetchval("SELECT to_regproc('a_call_v1') IS NOT NULL")
        assert await connection.fetchval("SELECT serves_from FROM schema_version") <= schema.newest()
        assert (await to_do(url, release=release)).after == ["drop function a_call_v1"]
        await migrate(url, [Half.AFTER], release=release)
        assert await connection.fetchval("SELECT to_regproc('a_call_v1') IS NULL")
        assert await connection.fetchval("SELECT serves_from FROM schema_version") == NEXT


@pytest.mark.parametrize("old", ["croupier relay", "croupier ingress 0021"])
async def test_the_second_half_waits_for_programs_of_an_earlier_release(
    url: str, tmp_path: Path, old: str
) -> None:
    """The interleaving that must not hurt: a program of before still plays, and what it calls is dropped."""
    release = next_release(
        tmp_path, expand=("CREATE TYPE left_over AS (n int)",), contract=("DROP TYPE left_over",)
    )
    said = list[str]()
    await migrate(url, [Half.BEFORE], release=release)
    async with called(url, f"croupier webhooks {NEXT}"), called(url, old) as program:
        with pytest.raises(CannotMigrate, match=rf"{old.split()[1]} \(schema .*End them, and run this again"):
            await migrate(url, [Half.AFTER], release=release, patience_s=0)
        assert await program.fetchval("SELECT to_regtype('left_over') IS NOT NULL"), "nothing was dropped"
        running = asyncio.create_task(migrate(url, [Half.AFTER], release=release, say=said.append))
        await until(lambda: _said(said, "the second half waits for programs of an earlier release", times=1))
        await program.close()
        await running
    async with session(url) as connection:
        assert await connection.fetchval("SELECT to_regtype('left_over') IS NULL")


async def test_the_second_half_waits_for_the_first(url: str, tmp_path: Path) -> None:
    with pytest.raises(CannotMigrate, match=r"migrate --before first"):
        await migrate(url, [Half.AFTER], release=next_release(tmp_path, expand=COLUMN))


@pytest.mark.parametrize(
    "edit",
    [
        ("mark_round_start(s sessions)", "mark_round_start(s sessions, p_more text DEFAULT NULL)"),
        ("mark_round_start(s sessions) RETURNS void", "mark_round_start(s sessions) RETURNS int"),
    ],
    ids=["another-parameter", "another-result"],
)
async def test_a_changed_signature_is_refused_and_changes_nothing(
    url: str, tmp_path: Path, edit: tuple[str, str]
) -> None:
    """Two functions of one name would make the calls of either ambiguous."""
    before = await access_of(url)
    with pytest.raises(CannotMigrate, match=r"mark_round_start.*another name"):
        await migrate(url, BOTH, release=next_release(tmp_path, edits={"25_limits.sql": edit}))
    assert await access_of(url) == before


async def test_the_release_before_is_served_until_the_second_half(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs of this tree, and its migration, on a database of the next release."""
    release, said = (
        next_release(tmp_path, expand=COLUMN, contract=("DROP TYPE IF EXISTS bet_v0",)),
        list[str](),
    )
    async with opened(url) as database:
        await migrate(url, [Half.BEFORE], release=release)
        await schema.check(database.pool)
        before = await access_of(url)
        await migrate(url, BOTH, say=said.append)
        assert said == [f"the database has schema {NEXT}, and still serves this release: left as it is"]
        assert await access_of(url) == before
        await migrate(url, [Half.AFTER], release=release)
        with pytest.raises(
            schema.WrongSchema, match=r"serves programs from 9001 on.*start the newer release"
        ):
            await schema.check(database.pool)
        with pytest.raises(CannotMigrate, match=r"no longer serves programs of this release"):
            await migrate(url, BOTH)


async def test_a_program_refuses_a_schema_that_is_older_or_not_whole(
    services: Services, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with empty_database(services) as empty, opened(empty) as database:
        with pytest.raises(schema.WrongSchema, match=r"no schema of this release.*migrate --before"):
            await schema.check(database.pool)
    async with opened(url) as database:
        await schema.check(database.pool)
        monkeypatch.setattr(schema, "called", lambda: ["reserve_round_v1", "reserve_round_v9"])
        with pytest.raises(schema.WrongSchema, match=r"lacks reserve_round_v9"):
            await schema.check(database.pool)
        monkeypatch.setattr(schema, "newest", lambda: NEXT)
        with pytest.raises(schema.WrongSchema, match=rf"needs {NEXT}"):
            await schema.check(database.pool)


async def test_the_programs_role_may_ask_for_the_schema(services: Services, url: str) -> None:
    async with opened(as_application(services, url)) as database:
        await schema.check(database.pool)


async def test_a_program_ends_with_one_line_on_a_schema_that_it_does_not_know(services: Services) -> None:
    async with empty_database(services) as empty:
        code, output = await run_module(services, "workers.statistics", CROUPIER_DATABASE_URL=empty)
    assert code == 1
    assert "migrate --before" in output
    assert len(output.splitlines()) == 1


async def test_the_command_says_what_is_to_do_and_does_it(services: Services) -> None:
    async with empty_database(services) as empty:
        address = {
            "CROUPIER_OWNER_DATABASE_URL": empty,
            "CROUPIER_DATABASE_URL": as_application(services, empty),
        }
        assert (await run_module(services, "cli", "migrate", "--check", **address))[0] == 1
        code, output = await run_module(services, "cli", "migrate", "--before", **address)
        assert (code, f"has schema {schema.newest()}" in output) == (0, True), output
        assert (await run_module(services, "cli", "migrate", **address))[0] == 0
        code, output = await run_module(services, "cli", "migrate", "--check", **address)
        assert (code, "nothing to do" in output) == (0, True), output


async def test_a_role_that_may_not_migrate_is_told_who_may(services: Services) -> None:
    async with empty_database(services) as empty:
        code, output = await run_module(
            services, "cli", "migrate", CROUPIER_OWNER_DATABASE_URL=as_application(services, empty)
        )
    assert code == 2
    assert output.splitlines()[-1].endswith("name the owner of the tables in CROUPIER_OWNER_DATABASE_URL"), (
        output
    )


async def run_module(services: Services, module: str, *arguments: str, **variables: str) -> tuple[int, str]:
    """Its exit code, and what it said."""
    addresses = {"CROUPIER_AMQP_URL": services.stack.addresses.amqp_url}
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        env={**os.environ, **to_environment(services.settings), **addresses, **variables},
        cwd=PROJECT_ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(running.communicate(), HANG_S)
    assert running.returncode is not None
    return running.returncode, output.decode()
