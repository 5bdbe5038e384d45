"""The schema: made by migrations, and the same as the SQLModel tables say."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlmodel import SQLModel

import storage.tables  # noqa: F401 - registers the tables
from contracts.rounds import RoundKey, RoundState
from storage import rounds
from storage.bets import FIELDS
from storage.database import open_database
from storage.migrate import alembic_config, engine, upgrade
from tests.conftest import Services
from tests.support.databases import empty_database, migrated_database


@pytest.fixture
async def url(services: Services) -> AsyncIterator[str]:
    async with empty_database(services) as made:
        yield made


async def test_migrations_make_what_the_tables_say(url: str) -> None:
    await asyncio.to_thread(upgrade, url)
    opened = engine(url)
    async with opened.connect() as connection:
        differences = await connection.run_sync(_differences)
    await opened.dispose()
    assert differences == []


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), SQLModel.metadata))


async def test_two_upgrades_at_once_and_a_third_later_leave_one_schema(url: str) -> None:
    await asyncio.gather(asyncio.to_thread(upgrade, url), asyncio.to_thread(upgrade, url))
    await asyncio.to_thread(upgrade, url)
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    assert await connection.fetchval("SELECT count(*) FROM pg_proc WHERE proname = 'settle_round_v1'") == 1
    await connection.close()


# Two rounds as programs left them that called functions without versions, at the last schema of those.
BEFORE_VERSIONS: Final = "0013"
GAMES: Final = ("dice", "fruit-lines")
IN_FLIGHT: Final = """
    INSERT INTO operators (id, name) VALUES ('op', 'a test''s');
    INSERT INTO players (operator_id, player_id) VALUES ('op', 'alice');
    INSERT INTO accounts (operator_id, kind, currency) VALUES ('op', 'house', 'EUR');
    INSERT INTO accounts (operator_id, kind, player_key, currency, balance, held)
    VALUES ('op', 'player', 1, 'EUR', 1000, 200);
    INSERT INTO seeds (id, player_key, sealed_server_seed, server_seed_hash, client_seed, next_nonce)
    VALUES ('seed', 1, 'sealed', 'hash', 'alice''s', 2);
    INSERT INTO sessions (id, operator_id, player_key, account_id, game_id, currency, mode, seed_id,
                          expires_at)
    VALUES ('session', 'op', 1, 2, 'dice', 'EUR', 'real', 'seed', clock_timestamp() + interval '1 day');
    INSERT INTO rounds (operator_id, player_key, player_id, account_id, session_id, round_id, game_id,
                        game_version, currency, mode, stake, request_id, seed_id, nonce, state)
    SELECT 'op', 1, 'alice', 2, 'session', 'at-' || game, game, '1.0.0', 'EUR', 'base', 100, 'request',
           'seed', nonce, 'pending'
    FROM (VALUES ('dice', 0), ('fruit-lines', 1)) AS played (game, nonce);
    CREATE FUNCTION reserve_round(p_operator_id text) RETURNS text LANGUAGE sql AS 'SELECT p_operator_id';
"""


async def test_rounds_in_flight_go_on_after_functions_got_versions(url: str) -> None:
    await asyncio.to_thread(command.upgrade, alembic_config(url), BEFORE_VERSIONS)
    before = await asyncpg.connect(url)
    await before.execute(IN_FLIGHT)
    await before.close()
    await asyncio.to_thread(upgrade, url)
    database = await open_database(url, connections=1)
    pool = database.pool
    assert await pool.fetchval("SELECT to_regproc('reserve_round')") is None

    won, void = [RoundKey(operator_id="op", player_key=1, round_id=f"at-{game}") for game in GAMES]
    settled = await rounds.settle(pool, won, {"roll": 42}, 198)
    assert (settled.view.state, settled.view.balance) == (RoundState.SETTLED, 998)
    held = await rounds.find(pool, void)
    assert held is not None
    released = await rounds.release(pool, held.bet, "resolve-failed", "for a test")
    assert (released.state, released.balance) == (RoundState.VOID, 1_098)
    following = dataclasses.replace(held.bet, key=dataclasses.replace(won, round_id="next"), game_id="dice")
    assert (await rounds.reserve(pool, following)).state is RoundState.PENDING
    await database.close()


async def test_a_bet_is_sent_in_the_order_of_its_type(url: str) -> None:
    """Most of the columns are text, so two in the other order would be taken for each other."""
    await asyncio.to_thread(upgrade, url)
    connection = await asyncpg.connect(url)
    columns = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('bet_v1') ORDER BY attnum"
    )
    await connection.close()
    assert [f["attname"] for f in columns] == [name.removeprefix("key.") for name in FIELDS]


# Who owns what and who may do what, with every function's text and settings.
ACCESS: Final = """
    SELECT 'table', relname, relowner, relacl::text, '' FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'column', attrelid::regclass::text || '.' || attname, 0, attacl::text, '' FROM pg_attribute
    WHERE attacl IS NOT NULL AND attrelid IN (
        SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace
    )
    UNION ALL
    SELECT 'function', oid::regprocedure::text, proowner, proacl::text, pg_get_functiondef(oid) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'schema', nspname, nspowner, nspacl::text, '' FROM pg_namespace WHERE nspname = 'public'
    UNION ALL
    SELECT 'database', '', datdba, datacl::text, '' FROM pg_database WHERE datname = current_database()
"""


async def test_a_clone_gives_the_rights_that_a_migration_gives(services: Services, url: str) -> None:
    """Tests of who may do what may use either."""
    await asyncio.to_thread(upgrade, url)
    async with migrated_database(services) as clone:
        migrated, cloned = [await access_of(of) for of in (url, clone)]
    assert cloned == migrated
    assert any("croupier_app" in str(row) for row in cloned)


async def access_of(url: str) -> set[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return {tuple(row) for row in await connection.fetch(ACCESS)}
    finally:
        await connection.close()
