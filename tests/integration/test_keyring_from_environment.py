"""A casino whose keyring comes from a variable alone: no file is read or made, and nobody else gets it."""

import base64
import contextlib
import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from pydantic import SecretStr

from cli.round import show as rounds
from cli.round.lines import lines
from cli.round.show import Wanted
from compose import process
from compose.problems import NotReady
from compose.programs import OwnProgram
from runtime import provision
from runtime.settings import PROJECT_ROOT
from security.keyring import SECTIONS
from storage.database import Database
from tests.conftest import Services
from tests.support.clients import seat_players
from tests.support.conditions import HANG_S, until
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
        async with httpx.AsyncClient(timeout=HANG_S) as client:
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

    assert "cannot be read" not in await until(complete)
    assert not nowhere.exists()


# Every program of ours is one module of workers/ that can be run.
PROGRAMS = sorted(
    path.stem
    for path in (PROJECT_ROOT / "workers").glob("*.py")
    if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_every_program_starts_from_the_environment_alone(
    services: Services, tmp_path: Path, program: str
) -> None:
    """As in a container: the variables that a secret store and the example write, and no file."""
    stack, addresses = services.stack, services.stack.addresses
    name = f"alone-{program}"
    metrics_port = stack.port(f"{name}-metrics")
    variables = {
        "CROUPIER_HOME": str(tmp_path),
        "CROUPIER_DATABASE_URL": addresses.application_database_url,
        "CROUPIER_AMQP_URL": addresses.amqp_url,
        "CROUPIER_TEMPORAL_ADDRESS": addresses.temporal_address,
        "CROUPIER_TEMPORAL_NAMESPACE": addresses.temporal_namespace,
        "CROUPIER_KEYRING_JSON": services.keyring.to_json(),
        "CROUPIER_GAMES": '["games.fruit_lines:GAME", "games.lucky_fruits:GAME", "games.dice:GAME"]',
        "CROUPIER_HTTP_PORT": str(stack.port(name)),
        "CROUPIER_METRICS_PORT": str(metrics_port),
    }
    started = OwnProgram(
        name=name,
        module=f"workers.{program}",
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


def test_the_programs_that_run_alone_are_those_of_the_stack(services: Services) -> None:
    assert {f"workers.{name}" for name in PROGRAMS} == {
        program.module for program in services.stack.programs()
    }


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
        assert told == isinstance(component, OwnProgram), name
        seen.add(told)
    assert seen == {True, False}
    assert "hunter2" not in json.dumps(services.stack.info(services.operator))
