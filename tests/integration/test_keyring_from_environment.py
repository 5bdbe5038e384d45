"""A casino whose keyring comes from a variable alone: no file is read or made, and nobody else gets it."""

import base64
import contextlib
import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from pydantic import SecretStr

from cli.round import show as rounds
from cli.round.lines import lines
from cli.round.show import Wanted
from compose import process
from compose.problems import NotReady
from compose.programs import PROGRAMS, OwnProgram, Program
from runtime import provision
from security.keyring import SECTIONS
from storage.database import Database
from tests.conftest import Services
from tests.support.clients import seat_players
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ingress import one_more_ingress


def secrets_of(services: Services) -> list[str]:
    sections = [getattr(services.keyring, name) for name in SECTIONS]
    return [base64.b64encode(key).decode() for section in sections for key in section.keys.values()]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_round_is_played_and_shown_without_a_keyring_file(
    services: Services, platform: dict[str, Any], tmp_path: Path
) -> None:
    nowhere = tmp_path / "no-keyring.json"
    settings: dict[str, Any] = {"keyring": nowhere, "keyring_json": services.keyring.to_json()}
    async with one_more_ingress(services.stack, "fileless", **settings) as ingress:
        command_line = " ".join(psutil.Process(ingress.running.pid).cmdline())
        (player,) = await seat_players({**platform, "base_url": ingress.base_url}, 1)
        async with http_client(timeout=HANG_S) as client:
            await player.bet(client, round_id := uuid4().hex)
    logged = ingress.log.read_text()
    assert not [secret for secret in secrets_of(services) if secret in command_line + logged]

    addresses = services.stack.addresses
    reached = services.settings.model_copy(
        update={
            "database_url": SecretStr(addresses.database_url),
            "temporal_address": addresses.temporal_address,
            "keyring": nowhere,
            "keyring_json": SecretStr(services.keyring.to_json()),
        }
    )

    async def complete() -> str:
        wanted = Wanted(round_id=round_id, operator_id=None, player_id=None)
        text = "\n".join(lines(await rounds.read(reached, wanted)))
        return text if "completed: settled" in text else ""

    assert "there is no keyring" not in await until(complete)
    assert not nowhere.exists()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
async def test_every_program_starts_from_what_the_table_says_that_it_needs(
    services: Services, tmp_path: Path, program: Program
) -> None:
    """As in a container: the variables that a secret store and the example write, no file, and none of the
    addresses that the program is not said to need."""
    stack, addresses = services.stack, services.stack.addresses
    name = f"alone-{program.name}"
    metrics_port = stack.port(f"{name}-metrics")
    assert addresses.console_database_url is not None
    needed = {
        "database_url": addresses.application_database_url,
        "amqp_url": addresses.amqp_url,
        "temporal_address": addresses.temporal_address,
        "console_database_url": addresses.console_database_url,
        "console_api_url": "http://127.0.0.1:1",  # it is asked when somebody signs in
    }
    variables = {
        "CROUPIER_HOME": str(tmp_path),
        "CROUPIER_TEMPORAL_NAMESPACE": addresses.temporal_namespace,
        "CROUPIER_KEYRING_JSON": services.keyring.to_json(),
        "CROUPIER_GAMES": '["games.fruit_lines:GAME", "games.lucky_fruits:GAME", "games.dice:GAME"]',
        "CROUPIER_HTTP_PORT": str(stack.port(name)),
        "CROUPIER_METRICS_PORT": str(metrics_port),
        # A reconciler sets the pace of the whole stack's.
        "CROUPIER_RECONCILE_EVERY_S": str(services.settings.reconcile_every_s),
        **{f"CROUPIER_{setting.upper()}": needed[setting] for setting in program.settings},
    }
    started = OwnProgram(
        name=name,
        module=program.module,
        ready_url=f"http://127.0.0.1:{metrics_port}/metrics",
        settings=variables,
    )
    running = await process.start(started.command(), stack.layout)

    async def ready_or_ended() -> bool:
        with contextlib.suppress(NotReady):
            await started.probe()
            return True
        return not running.running

    try:
        await until(ready_or_ended)
        assert running.running, process.tail(stack.layout.log_of(name))
    finally:
        await running.stop()
    assert not names_in(tmp_path)


def test_the_programs_of_the_table_are_those_of_the_stack(services: Services) -> None:
    of_the_stack = {program.module for program in services.stack.programs()}
    assert {program.module for program in PROGRAMS if not program.optional} == of_the_stack


async def test_a_first_start_makes_no_file_beside_it(services: Services, tmp_path: Path) -> None:
    chosen = services.settings.model_copy(
        update={
            "home": tmp_path,
            "keyring": tmp_path / "keyring.json",
            "keyring_json": SecretStr(services.keyring.to_json()),
            "database_url": SecretStr(services.stack.addresses.database_url),
        }
    )
    await provision._ensure(chosen)
    assert names_in(tmp_path) == [provision.OPERATOR_FILE]


async def test_only_programs_of_ours_get_it(
    services: Services, platform: dict[str, Any], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "CROUPIER_KEYRING_JSON", "hunter2")
    seen = set()
    for name, component in services.stack._components.items():
        told = "hunter2" in json.dumps(dict(component.command().environment))
        # The codec server and the console, which other tests may have started, have a section of it alone.
        assert told == (isinstance(component, OwnProgram) and name not in ("codec", "console")), name
        seen.add(told)
    assert seen == {True, False}
    assert "hunter2" not in json.dumps(services.stack.info(services.operator))
