"""API keys in the database and on the command line: what two at once come to, and what ends when."""

import asyncio
import json
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any, Self, cast
from uuid import uuid4

import asyncpg
import pytest

from api.operator import service as services_module
from api.operator.service import KEY_CACHE_S, LookUpRefused, OperatorKeys, TooManyKeys
from contracts.views import ApiKeyView
from security.api_keys import SCOPES, new_api_key, parse_api_key
from storage import operators
from storage.database import Database, open_database
from tests.conftest import Services
from tests.support import commands
from tests.support.acting import BY
from tests.support.conditions import until


@pytest.fixture
async def operator_id(database: Database) -> str:
    made = f"op-{uuid4().hex[:12]}"
    await operators.ensure_operator(database.pool, operator_id=made, name="a test's")
    return made


async def issued(database: Database, operator_id: str) -> ApiKeyView:
    made = await OperatorKeys(database.pool).issue(operator_id=operator_id, scope="operator", by=BY)
    assert made is not None
    found = await operators.find_key(database.pool, made.key_id)
    assert found is not None
    return found


async def keys_of(database: Database, operator_id: str) -> dict[str, bool]:
    """Its keys, and whether each opens anything."""
    listed = await operators.list_keys(database.pool, operator_id=operator_id)
    return {key.key_id: key.active for key in listed}


async def test_a_key_that_is_revoked_while_it_is_rotated_leaves_no_successor(
    database: Database, operator_id: str
) -> None:
    """The revocation has the row and has not committed: the rotation must wait for it, and make nothing."""
    key = await issued(database, operator_id)
    async with database.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT revoke_api_key_v1($1, $2)", operator_id, key.key_id)
        rotating = asyncio.create_task(
            OperatorKeys(database.pool).rotate(
                operator_id=operator_id, key_id=key.key_id, overlap_s=60, by=BY
            )
        )
        await waits_for_a_lock(database)
        assert not rotating.done(), "it waits for the revocation"
        await transaction.commit()
    assert await rotating is None
    assert await keys_of(database, operator_id) == {key.key_id: False}


async def waits_for_a_lock(database: Database) -> None:
    waiting = (
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND query LIKE '%rotate_api_key_v2%' AND pid <> pg_backend_pid())"
    )
    await until(lambda: database.pool.fetchval(waiting))


async def test_no_rotation_lets_a_key_live_longer(database: Database, operator_id: str) -> None:
    keys, key = OperatorKeys(database.pool), await issued(database, operator_id)
    first = await keys.rotate(operator_id=operator_id, key_id=key.key_id, overlap_s=60, by=BY)
    second = await keys.rotate(operator_id=operator_id, key_id=key.key_id, overlap_s=86_400, by=BY)
    assert first is not None
    assert second is not None
    assert first.replaced_until == second.replaced_until
    assert first.key_id != second.key_id
    sooner = await keys.rotate(operator_id=operator_id, key_id=key.key_id, overlap_s=0, by=BY)
    assert sooner is not None
    assert await keys.rotate(operator_id=operator_id, key_id=key.key_id, overlap_s=60, by=BY) is None, (
        "it has ended"
    )


async def test_two_rotations_at_once_make_a_key_each_and_end_the_old_one_once(
    database: Database, operator_id: str
) -> None:
    keys, key = OperatorKeys(database.pool), await issued(database, operator_id)
    made = await asyncio.gather(
        *(keys.rotate(operator_id=operator_id, key_id=key.key_id, overlap_s=60, by=BY) for _ in range(5))
    )
    assert len({one.key_id for one in made if one}) == 5
    assert len(await keys_of(database, operator_id)) == 6


async def test_an_operator_never_has_more_keys_than_it_may(database: Database, operator_id: str) -> None:
    keys = OperatorKeys(database.pool)
    for _ in range(operators.KEYS_LIMIT - 3):
        await keys.issue(operator_id=operator_id, scope="game", by=BY)
    made = await asyncio.gather(
        *(keys.issue(operator_id=operator_id, scope="game", by=BY) for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(one, TooManyKeys) for one in made) == 7
    listed = await keys_of(database, operator_id)
    assert len(listed) == operators.KEYS_LIMIT
    assert await keys.revoke(operator_id=operator_id, key_id=next(iter(listed)), by=BY)
    assert await keys.issue(operator_id=operator_id, scope="game", by=BY), "a revoked one makes room"


async def test_another_operator_can_neither_rotate_nor_revoke_a_key(
    database: Database, operator_id: str
) -> None:
    keys, key = OperatorKeys(database.pool), await issued(database, operator_id)
    other = f"op-{uuid4().hex[:12]}"
    await operators.ensure_operator(database.pool, operator_id=other, name="a test's")
    assert await keys.rotate(operator_id=other, key_id=key.key_id, overlap_s=0, by=BY) is None
    assert not await keys.revoke(operator_id=other, key_id=key.key_id, by=BY)
    assert await keys_of(database, other) == {}
    assert await keys_of(database, operator_id) == {key.key_id: True}


async def test_the_end_of_a_key_is_honoured_at_once_though_it_is_remembered(
    database: Database, operator_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = OperatorKeys(database.pool)
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    made = await keys.issue(operator_id=operator_id, scope="game", expires_at=ends_at, by=BY)
    assert made is not None
    frozen_clock(monkeypatch, now=ends_at - timedelta(seconds=1))
    assert await keys.authenticate(made.text, may_look_up=lambda: True) is not None
    frozen_clock(monkeypatch, now=ends_at)
    assert await keys.authenticate(made.text, may_look_up=lambda: False) is None


def frozen_clock(monkeypatch: pytest.MonkeyPatch, *, now: datetime | None = None, at_s: float = 0) -> None:
    """The service's clock stands still: at `now`, and `at_s` seconds on the one that never goes back."""

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cast(Self, now or datetime.now(tz))

    monkeypatch.setattr(services_module, "datetime", Frozen)
    monkeypatch.setattr(services_module, "time", SimpleNamespace(monotonic=lambda: at_s))


async def test_unknown_keys_cost_a_query_each_only_within_the_askers_budget(
    database: Database, operator_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def find_key(pool: asyncpg.Pool, key_id: str) -> ApiKeyView | None:
        asked.append(key_id)
        return await find(pool, key_id)

    frozen_clock(monkeypatch)
    find = operators.find_key
    monkeypatch.setattr(operators, "find_key", find_key)
    keys, strangers = OperatorKeys(database.pool), [new_api_key().text for _ in range(10)]
    for stranger in strangers[:3] * 3:
        assert await keys.authenticate(stranger, may_look_up=lambda: len(asked) < 3) is None
    assert len(asked) == 3, "asked again, an unknown key is known to be unknown"
    for stranger in strangers[3:]:
        with pytest.raises(LookUpRefused):
            await keys.authenticate(stranger, may_look_up=lambda: len(asked) < 3)
    assert len(asked) == 3

    made = await keys.issue(operator_id=operator_id, scope="game", by=BY)
    assert made is not None
    assert await keys.authenticate(made.text, may_look_up=lambda: True)
    frozen_clock(monkeypatch, at_s=KEY_CACHE_S + 1)
    assert await keys.authenticate(made.text, may_look_up=lambda: False), "strangers keep no operator out"
    assert asked[3:] == [made.key_id] * 2


async def test_the_role_of_the_programs_makes_keys_by_the_functions_alone(services: Services) -> None:
    application = await open_database(services.stack.addresses.application_database_url, connections=1)
    try:
        for statement in (
            "INSERT INTO api_keys (id, operator_id, secret_hash, scope) VALUES ('x', 'demo', 'x', 'admin')",
            "UPDATE api_keys SET revoked_at = NULL",
            "UPDATE api_keys SET scope = 'admin'",
            "DELETE FROM api_keys",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.pool.execute(statement)
        keys = OperatorKeys(application.pool)
        made = await keys.issue(operator_id="demo", scope="game", by=BY)
        assert made is not None
        rotated = await keys.rotate(operator_id="demo", key_id=made.key_id, overlap_s=0, by=BY)
        assert rotated is not None
        assert await keys.revoke(operator_id="demo", key_id=rotated.key_id, by=BY)
    finally:
        await application.close()


async def test_no_scope_is_stored_that_no_route_knows(database: Database, operator_id: str) -> None:
    key = new_api_key()
    stored = ApiKeyView(
        key_id=key.key_id, operator_id=operator_id, secret_hash=key.secret_hash, scope="everything"
    )
    with pytest.raises(asyncpg.CheckViolationError):
        await operators.add_key(database.pool, stored, by=BY)


async def test_the_command_adds_lists_rotates_and_revokes(
    services: Services, platform: dict[str, Any], database: Database, operator_id: str
) -> None:
    async def command(*arguments: str) -> commands.Ended:
        return await commands.run(services, platform, "operator", "key", *arguments)

    code, text, words = await commands.run_process(
        services, platform, "operator", "key", "add", operator_id, "--scope", "admin", "--days", "1"
    )
    assert code == 0, words
    key_id = parse_api_key(text.strip()).key_id
    assert key_id in words
    assert text.strip() not in words, "the key is on standard output alone"
    found = await OperatorKeys(database.pool).authenticate(text.strip())
    assert found is not None
    assert found.scope == "admin"
    assert found.expires_at is not None

    code, rotated, words = await command("rotate", operator_id, key_id, "--overlap", "60")
    assert code == 0, words
    new_id = parse_api_key(rotated.strip()).key_id
    assert key_id in words
    assert (await command("revoke", operator_id, new_id))[0] == 0
    code, listed, _ = await command("list", operator_id, "--json")
    assert code == 0
    assert {key["key_id"]: key["active"] for key in json.loads(listed)} == {key_id: True, new_id: False}
    assert text.strip().split("_", 2)[2] not in listed

    code, nothing, words = await command("revoke", operator_id, "0" * 16)
    assert (code, nothing) == (1, "")
    assert "has no key" in words
    code, nothing, words = await command("add", "nobody")
    assert (code, nothing) == (1, "")
    assert "there is no operator nobody" in words


def test_the_scopes_are_those_of_the_table() -> None:
    assert SCOPES == ("game", "operator", "admin")
