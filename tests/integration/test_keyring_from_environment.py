"""A casino whose keyring comes from a variable alone: no file is read or made, and nobody else gets it."""

import asyncio
import base64
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
from compose.programs import OwnProgram
from runtime import provision
from security.keyring import SECTIONS
from storage.database import Database
from tests.conftest import Services
from tests.support.clients import seat_players
from tests.support.conditions import HANG_S, until
from tests.support.ingress import one_more_ingress
from workers import reconciler, relay, statistics, webhooks
from workers.lifecycle import Program


def secrets_of(services: Services) -> list[str]:
    sections = [getattr(services.keyring, name) for name in SECTIONS]
    return [base64.b64encode(key).decode() for section in sections for key in section.keys.values()]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_round_is_played_and_shown_without_a_keyring_file(
    services: Services, platform: dict[str, Any], tmp_path: Path
) -> None:
    nowhere = tmp_path / "no-keyring.json"
    settings = {"keyring": nowhere, "keyring_json": services.keyring.to_json()}
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


@pytest.mark.parametrize(
    "program",
    [relay.relay, statistics.consume, reconciler.reconcile, webhooks.send],
    ids=lambda one: one.__module__,
)
async def test_every_other_program_starts_without_a_keyring_file(
    services: Services, tmp_path: Path, program: Program
) -> None:
    addresses = services.stack.addresses
    settings = services.settings.model_copy(
        update={
            "database_url": SecretStr(addresses.application_database_url),
            "amqp_url": SecretStr(addresses.amqp_url),
            "temporal_address": addresses.temporal_address,
            "metrics_port": None,
            "keyring": tmp_path / "no-keyring.json",
            "keyring_json": SecretStr(services.keyring.to_json()),
        }
    )
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(HANG_S):
        await program(settings, stop)
    assert not names_in(tmp_path)


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
