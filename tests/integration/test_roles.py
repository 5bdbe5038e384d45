"""The role that our programs connect as: it plays every round, and can alter nothing that is written."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final
from uuid import uuid4

import asyncpg
import pytest

from compose.postgres import APPLICATION, USER
from contracts.audit import Kind
from contracts.rounds import RoundState
from runtime.settings import to_environment
from security.keyring import Keyring
from security.seeds import SeedVault, new_server_seed
from storage import outbox, players, rounds, sessions, statistics
from storage.audit import entry
from storage.database import Database, open_database
from storage.statistics import RoundFact
from tests.conftest import Services
from tests.support.acting import BY
from tests.support.ledger import OUTCOME, Seat, take_seat

READABLE: Final = """
    SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
"""
RECORDS: Final = (
    *("transfers", "postings", "rounds", "outbox", "game_events"),
    *("accounts", "players", "seeds", "sessions", "operators", "api_keys"),
)


@pytest.fixture
async def seat(application: Database, database: Database) -> Seat:
    """A player at whose records attempts are made; operators and keys are made by the owner."""
    made = await take_seat(database, balance=1_000)
    bet = made.bet()
    await made.reserve(bet)
    await made.settle(bet, win=50)
    return Seat(application, made.session)


async def test_the_programs_connect_as_a_role_that_owns_nothing(services: Services) -> None:
    addresses = services.stack.addresses
    assert f"//{USER}:" in addresses.database_url
    for program in services.stack.programs():
        assert program.settings["CROUPIER_DATABASE_URL"] == addresses.application_database_url
        assert addresses.database_url not in program.settings.values()
        assert not program.settings["CROUPIER_OWNER_DATABASE_URL"]
    assert "CROUPIER_OWNER_DATABASE_URL" not in to_environment(services.settings)


async def test_the_role_has_no_attribute_and_no_membership(application: Database) -> None:
    row = await application.pool.fetchrow("SELECT * FROM pg_roles WHERE rolname = current_user")
    assert row["rolname"] == APPLICATION
    attributes = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls")
    assert not any(row[name] for name in attributes)
    member_of = "SELECT count(*) FROM pg_auth_members WHERE member = $1::regrole"
    assert await application.pool.fetchval(member_of, APPLICATION) == 0
    owned = "SELECT count(*) FROM pg_class WHERE relowner = $1::regrole"
    assert await application.pool.fetchval(owned, APPLICATION) == 0


async def test_the_role_can_do_all_that_the_programs_do(application: Database, database: Database) -> None:
    made = await take_seat(database)
    seat = await _first_session(application, made)
    assert await seat.deposit(1_000) == ("deposited", 1_000)
    assert await seat.withdraw(100) == ("withdrawn", 900)
    bet = seat.bet()
    await seat.reserve(bet)
    settled = await rounds.settle(application.pool, bet.key, OUTCOME, 50)
    assert settled.view.state is RoundState.SETTLED
    void = seat.bet()
    await seat.reserve(void)
    assert (await seat.release(void)).state is RoundState.VOID
    assert settled.event is not None
    await outbox.mark_published(application.pool, [settled.event.event_id])
    fact = RoundFact(
        event_id=settled.event.event_id,
        operator_id=seat.session.operator_id,
        game_id=seat.session.game_id,
        currency="EUR",
        settled=True,
        stake=100,
        win=50,
    )
    assert await statistics.apply(application.pool, [fact]) == 1
    ended = await sessions.end_session(
        application.pool, session_id=seat.session.session_id, operator_id=seat.session.operator_id
    )
    assert ended
    assert await players.find_player(
        application.pool, operator_id=seat.session.operator_id, player_id=seat.session.player_id
    )


async def _first_session(application: Database, made: Seat) -> Seat:
    """A new player of the same operator, made by the role itself."""
    operator_id, pool = made.session.operator_id, application.pool
    key, account = await sessions.ensure_account(
        pool, operator_id=operator_id, player_id="new", currency="EUR"
    )
    session = replace(
        made.session, session_id=uuid4().hex, player_key=key, account_id=account, player_id="new"
    )
    seed_id = uuid4().hex
    sealed = SeedVault(Keyring.generate()).seal(seed_id, new_server_seed())
    await sessions.open_session(pool, session, seed_id=seed_id, sealed_server_seed=sealed)
    return Seat(application, session)


@pytest.mark.parametrize("table", RECORDS)
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM {table}",
        "TRUNCATE {table} CASCADE",
        "DROP TABLE {table}",
        "ALTER TABLE {table} DISABLE TRIGGER ALL",
        "ALTER TABLE {table} ADD COLUMN extra text",
        "ALTER TABLE {table} OWNER TO croupier_app",
        "CREATE TRIGGER extra BEFORE INSERT ON {table} EXECUTE FUNCTION refuse_change()",
        "CREATE INDEX extra ON {table} ((1))",
        "SELECT 1; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    ],
)
async def test_the_role_can_neither_remove_nor_redefine(
    application: Database, table: str, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.pool.execute(statement.format(table=table))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO transfers OVERRIDING SYSTEM VALUE SELECT * FROM transfers LIMIT 1",
        "INSERT INTO postings SELECT * FROM postings LIMIT 1",
        "INSERT INTO rounds OVERRIDING SYSTEM VALUE SELECT * FROM rounds LIMIT 1",
        "UPDATE transfers SET amount = amount + 1",
        "UPDATE transfers SET hash = hash",
        "UPDATE postings SET amount = amount",
        "UPDATE rounds SET win = win + 1",
        "UPDATE rounds SET outcome = '{}'",
        "UPDATE rounds SET state = 'void' WHERE state = 'pending'",
        "UPDATE accounts SET balance = balance + 1",
        "UPDATE accounts SET held = 0",
        "UPDATE players SET sequence = sequence + 1",
        "UPDATE players SET chain_head = ''",
        "UPDATE players SET chain_length = 0",
        "UPDATE seeds SET next_nonce = 0",
        "UPDATE seeds SET sealed_server_seed = ''",
        "UPDATE sessions SET account_id = 1",
        "UPDATE sessions SET limits = NULL",
        "UPDATE sessions SET lost = 0",
        "UPDATE players SET demo = false",
        "UPDATE round_starts SET started_at = now()",
        "DELETE FROM game_switches",
        "UPDATE sessions SET ended_at = NULL",
        "UPDATE outbox SET data = '{}'",
        "UPDATE operators SET name = ''",
        "UPDATE api_keys SET revoked_at = NULL",
        "INSERT INTO outbox (type) VALUES ('round.settled')",
        "INSERT INTO game_events (event_id) VALUES ('mine')",
        "INSERT INTO sessions (id) VALUES ('mine')",
        "INSERT INTO seeds (id) VALUES ('mine')",
        "INSERT INTO api_keys (id) VALUES ('mine')",
        "UPDATE audit_log SET actor = 'somebody'",
        "DELETE FROM audit_log",
        "INSERT INTO players (operator_id, player_id, sequence) VALUES ('demo', 'x', 7)",
        "INSERT INTO accounts (operator_id, kind, currency, held) VALUES ('demo', 'cash', 'XTS', 0)",
    ],
)
async def test_the_role_can_alter_nothing_that_money_hangs_on(
    application: Database, seat: Seat, statement: str
) -> None:
    money = await seat.money()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.pool.execute(statement)
    assert await seat.money() == money


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE croupier",
        "SET SESSION AUTHORIZATION croupier",
        "SET session_replication_role = replica",
        "GRANT croupier TO croupier_app",
        "ALTER ROLE croupier_app SUPERUSER",
        "ALTER ROLE croupier PASSWORD 'mine'",
        "ALTER SYSTEM SET fsync = off",
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "CREATE SCHEMA another",
        "CREATE TABLE another (id int)",
        "CREATE FUNCTION another() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION money_json(bigint, text) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL'",
        "ALTER FUNCTION settle_round_v1 SECURITY INVOKER",
        "DROP FUNCTION refuse_change CASCADE",
        "COPY transfers TO '/tmp/transfers'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
async def test_the_role_cannot_raise_itself(application: Database, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.pool.execute(statement)


async def test_the_pieces_of_the_ledger_move_nothing_when_the_role_calls_them(seat: Seat) -> None:
    session = seat.session
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await seat.database.pool.execute(
            "SELECT post_transfer($1, 'win', 'gift', 1, $2, 5, 'EUR', 5)",
            session.player_key,
            session.account_id,
        )
    assert await seat.money() == (950, 0)


async def test_no_event_is_recorded_by_hand(seat: Seat) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await seat.database.pool.execute(
            "SELECT record_player_event($1, 'wallet.deposited', '', NULL, '{}')", seat.session.player_key
        )
    assert len(await seat.every_event()) == 3


async def test_no_account_begins_with_money(application: Database, seat: Seat) -> None:
    """The role may insert accounts, so the balance that they begin with is the database's business."""
    statement = """
        INSERT INTO accounts (operator_id, kind, player_key, currency, balance)
        VALUES ($1, 'player', $2, 'USD', 5)
    """
    with pytest.raises(asyncpg.RestrictViolationError):
        await application.pool.execute(statement, seat.session.operator_id, seat.session.player_key)


async def test_a_table_of_the_roles_own_is_not_taken_for_the_ledgers(
    application: Database, seat: Seat
) -> None:
    """The trap of functions with their owner's rights: a temporary table that hides the real one."""
    async with application.pool.acquire() as connection:
        await connection.execute("CREATE TEMPORARY TABLE accounts AS SELECT * FROM accounts")
        await connection.execute("UPDATE pg_temp.accounts SET balance = 1000000")
        operator_id, player_key = seat.session.operator_id, seat.session.player_key
        noted = entry(Kind.WITHDRAWAL, BY, operator_id=operator_id, subject=seat.session.player_id)
        result = await connection.fetchrow(
            players.WITHDRAW, operator_id, player_key, "w-1", 2_000, "EUR", *noted
        )
        await connection.execute("DROP TABLE pg_temp.accounts")
    assert tuple(result) == ("insufficient-funds", 950)


async def test_nobody_else_may_call_the_ledger(database: Database) -> None:
    granted = await database.pool.fetch(
        """
        SELECT proname FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) granted
        WHERE prosecdef AND pronamespace = current_schema()::regnamespace AND granted.grantee = 0
        """
    )
    assert granted == []


class TestTheReader:
    """The role of people who look: `./croupier psql`, and whatever shows rounds."""

    @pytest.fixture
    async def reader(self, services: Services) -> AsyncIterator[Database]:
        url = services.stack.addresses.reader_database_url
        assert url is not None
        opened = await open_database(url, connections=1)
        yield opened
        await opened.close()

    async def test_reads_every_table_and_view(self, reader: Database) -> None:
        for table in await reader.pool.fetch(READABLE):
            await reader.pool.fetch(f"SELECT * FROM {table['name']} LIMIT 1")  # noqa: S608

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO players (operator_id, player_id) VALUES ('demo', 'x')",
            "UPDATE players SET blocked = true",
            "UPDATE outbox SET published_at = now()",
            "DELETE FROM webhooks",
            "TRUNCATE rounds",
            "DROP TABLE rounds",
            "CREATE TABLE own (n int)",
            "SELECT switch_operator_v1('demo', false)",
            "SELECT resolve_incident_v1(gen_random_uuid())",
            "SET ROLE croupier",
        ],
    )
    async def test_does_nothing_else_whatever_it_sets(self, reader: Database, statement: str) -> None:
        async with reader.pool.acquire() as connection:
            await connection.execute("SET default_transaction_read_only = off")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)

    async def test_is_read_only_unless_it_says_otherwise(self, reader: Database) -> None:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await reader.pool.execute("CREATE TEMPORARY TABLE own (n int)")
