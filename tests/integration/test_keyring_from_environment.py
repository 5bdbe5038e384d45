"""A casino whose keyring comes from a variable alone: no file is read or made."""

import os
import shutil
from uuid import uuid4

import httpx
from pydantic import SecretStr

from cli import rounds
from cli.rounds import Wanted
from compose import control
from compose.stack import Stack
from runtime.settings import PROJECT_ROOT, Settings
from security.keyring import Keyring
from tests.support.clients import seat_players
from tests.support.conditions import until


async def test_a_round_is_played_and_shown_without_a_keyring_file() -> None:
    home = PROJECT_ROOT / ".local" / f"tests-keyring-{os.getpid()}"
    keyring = Keyring.generate()
    settings = Settings(home=home, keyring_json=SecretStr(keyring.to_json()), reconcile_every_s=86_400)
    round_id = uuid4().hex
    async with Stack(settings) as stack:
        operator = await stack.start_services(provision=True)
        await stack.start_programs()
        (player,) = await seat_players(stack.info(operator), 1)
        async with httpx.AsyncClient() as client:
            await player.bet(client, round_id)
        addresses = stack.addresses
        reached = settings.model_copy(
            update={
                "database_url": SecretStr(addresses.database_url),
                "temporal_address": addresses.temporal_address,
            }
        )

        async def complete() -> str:
            wanted = Wanted(round_id=round_id, operator_id=None, player_id=None)
            text = "\n".join((await rounds.look(reached, wanted)).lines())
            return text if "completed: settled" in text and "statistics  applied" in text else ""

        assert "cannot be read" not in await until(complete, within_s=40)
        assert not settings.keyring.exists()
    control.reset(settings)
    shutil.rmtree(home)
