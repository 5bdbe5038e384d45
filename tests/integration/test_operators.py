"""Operators by the command line, and a session that is opened while its operator is disabled."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from api.operator.service import OperatorKeys
from api.platform.service import Operators
from api.session.service import OperatorDisabled, SessionService
from contracts.views import SessionView
from security.seeds import SeedVault, commitment, new_server_seed
from security.tokens import TokenIssuer
from storage import sessions
from storage.database import Database
from tests.conftest import Services
from tests.support import commands
from tests.support.conditions import until


@pytest.fixture
def operator_id() -> str:
    return f"op-{uuid4().hex[:12]}"


@pytest.fixture
def service(services: Services, application: Database) -> SessionService:
    """As our programs have it, with the rights of their role."""
    keyring = services.keyring
    return SessionService(application.pool, SeedVault(keyring), TokenIssuer(keyring), lifetime_s=3_600)


async def opened(service: SessionService, operator_id: str, player_id: str) -> SessionView:
    session, _ = await service.open(
        operator_id=operator_id, player_id=player_id, game_id="dice", currency="EUR", client_seed=None
    )
    return session


async def open_of(database: Database, operator_id: str) -> int:
    count: int = await database.pool.fetchval(
        "SELECT count(*) FROM sessions WHERE operator_id = $1 AND ended_at IS NULL", operator_id
    )
    return count


class TestCommands:
    async def test_an_operator_is_added_with_its_first_key_listed_disabled_and_enabled(
        self, services: Services, platform: dict[str, Any], database: Database, operator_id: str
    ) -> None:
        async def run(*arguments: str) -> commands.Ended:
            return await commands.run(services, platform, "operator", *arguments)

        code, key, errors = await run("add", operator_id, "--name", "Acme Casino")
        assert code == 0, errors
        found = await OperatorKeys(database.pool).authenticate(key.strip())
        assert found is not None
        assert (found.operator_id, found.scope, found.disabled) == (operator_id, "admin", False)
        assert key.strip() not in errors

        code, output, errors = await run("add", operator_id)
        assert (code, output) == (1, "")
        assert f"there is an operator {operator_id}" in errors

        listed = json.loads((await run("list", "--json"))[1])
        (one,) = [each for each in listed if each["operator_id"] == operator_id]
        assert (one["name"], one["enabled"], one["disabled_at"]) == ("Acme Casino", True, None)

        assert (await run("disable", operator_id))[0] == 0
        assert f"{operator_id}  disabled" in (await run("list"))[1]
        assert (await run("enable", operator_id))[0] == 0
        assert f"{operator_id}  enabled  Acme Casino" in (await run("list"))[1]

    @pytest.mark.parametrize("wanted", ["a:b", "a.b", "", "x" * 65])
    async def test_an_id_that_could_be_no_word_of_other_ids_is_refused(
        self, services: Services, platform: dict[str, Any], wanted: str
    ) -> None:
        code, output, errors = await commands.run(services, platform, "operator", "add", wanted)
        assert (code, output) == (1, "")
        assert "1 to 64 of A-Z a-z 0-9 _ -" in errors

    @pytest.mark.parametrize("verb", ["disable", "enable"])
    async def test_who_is_not_there_is_named(
        self, services: Services, platform: dict[str, Any], operator_id: str, verb: str
    ) -> None:
        code, _, errors = await commands.run(services, platform, "operator", verb, operator_id)
        assert code == 1
        assert f"there is no operator {operator_id}" in errors

    async def test_the_platforms_keys_are_made_rotated_and_revoked(
        self, services: Services, platform: dict[str, Any], database: Database
    ) -> None:
        async def run(*arguments: str) -> str:
            code, output, errors = await commands.run(services, platform, "platform", "key", *arguments)
            assert code == 0, errors
            return output

        keys = OperatorKeys(database.pool)
        first = await keys.authenticate((await run("add")).strip())
        assert first is not None
        assert (first.operator_id, first.scope) == ("", "platform")
        second = await keys.authenticate((await run("rotate", first.key_id, "--overlap", "60")).strip())
        assert second is not None
        assert second.scope == "platform"
        await run("revoke", first.key_id)
        listed = {key["key_id"]: key["active"] for key in json.loads(await run("list", "--json"))}
        assert (listed[first.key_id], listed[second.key_id]) == (False, True)
        code, _, errors = await commands.run(
            services, platform, "operator", "key", "revoke", "demo", second.key_id
        )
        assert (code, errors) == (1, f"croupier: demo has no key {second.key_id}\n")


class TestDisabling:
    async def test_a_session_that_opens_meanwhile_is_ended_or_refused(
        self,
        services: Services,
        database: Database,
        application: Database,
        service: SessionService,
        operator_id: str,
    ) -> None:
        """The session has the operator's row and has not committed: disabling waits for it, and ends it."""
        operators = Operators(application.pool)
        await operators.add(operator_id=operator_id, name="a test's")
        earlier = await opened(service, operator_id, "earlier")
        async with database.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            meanwhile = await opened_by(connection, SeedVault(services.keyring), earlier)
            disabling = asyncio.create_task(operators.disable(operator_id))
            await waits_for_a_lock(database)
            assert not disabling.done()
            await transaction.commit()
        assert await disabling == 2
        for session_id in (earlier.session_id, meanwhile):
            found = await sessions.find_session(database.pool, session_id=session_id, operator_id=operator_id)
            assert found is not None
            assert found.ended_at is not None
        with pytest.raises(OperatorDisabled):
            await opened(service, operator_id, "later")
        assert await open_of(database, operator_id) == 0

    async def test_a_disabling_that_was_interrupted_goes_on_when_it_is_made_again(
        self, database: Database, application: Database, service: SessionService, operator_id: str
    ) -> None:
        operators = Operators(application.pool)
        await operators.add(operator_id=operator_id, name="a test's")
        for player_id in ("one", "two", "three"):
            await opened(service, operator_id, player_id)

        def interrupted(_: str) -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            await operators.disable(operator_id, ended=interrupted)
        assert await open_of(database, operator_id) == 2
        assert await operators.disable(operator_id) == 2
        assert await open_of(database, operator_id) == 0
        assert await operators.enable(operator_id)
        assert await opened(service, operator_id, "one")

    async def test_another_operators_sessions_stay(
        self, database: Database, application: Database, service: SessionService, operator_id: str
    ) -> None:
        operators, other = Operators(application.pool), f"{operator_id}-b"
        for one in (operator_id, other):
            await operators.add(operator_id=one, name="a test's")
            await opened(service, one, "same-name")
        assert await operators.disable(operator_id) == 1
        assert (await open_of(database, operator_id), await open_of(database, other)) == (0, 1)


async def opened_by(connection: Any, vault: SeedVault, like: SessionView) -> str:
    """The id of one more session of the same player, in the connection's transaction."""
    server_seed, seed_id = new_server_seed(), uuid4().hex
    session = replace(like, session_id=uuid4().hex, server_seed_hash=commitment(server_seed))
    sealed = vault.seal(seed_id, server_seed)
    await sessions.open_session(connection, session, seed_id=seed_id, sealed_server_seed=sealed)
    return session.session_id


async def waits_for_a_lock(database: Database) -> None:
    waiting = (
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND query LIKE '%switch_operator_v1%' AND pid <> pg_backend_pid())"
    )
    await until(lambda: database.pool.fetchval(waiting))
