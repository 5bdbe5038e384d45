"""Keys are rotated and removed under a casino of its own, by the commands and with restarts of the programs:
what was made before stays readable, and what no key opens any more stands still instead of guessing.
"""

import asyncio
import base64
import dataclasses
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import jwt
import pytest
from pydantic import SecretStr
from temporalio.client import Client, WorkflowHandle

from cli.keys import run as keys
from cli.round import show as rounds
from cli.round.lines import lines
from cli.round.show import Wanted
from compose import control
from compose.stack import Stack
from runtime.settings import PROJECT_ROOT, Settings
from runtime.temporal import connect
from security.keyring import SECTIONS, Keyring
from security.seeds import SeedVault, commitment
from storage.database import Database, open_database
from tests.support.clients import STAKE, Player, seat_players
from tests.support.conditions import until

PROGRAMS: Final = ("statistics", "relay", "reconciler", "webhooks", "ingress")


@dataclasses.dataclass(slots=True)
class Casino:
    """A whole stack, and every keyring that it ever had."""

    stack: Stack
    database: Database
    platform: dict[str, Any]
    keyrings: list[Keyring]

    @property
    def settings(self) -> Settings:
        addresses = self.stack.addresses
        return self.stack.settings.model_copy(
            update={
                "database_url": SecretStr(addresses.database_url),
                "temporal_address": addresses.temporal_address,
                "temporal_namespace": addresses.temporal_namespace,
            }
        )

    @property
    def keyring(self) -> Keyring:
        """The one in the file."""
        return Keyring.load(self.settings.keyring)

    async def temporal(self) -> Client:
        """A client with the keyring in the file."""
        addresses = self.stack.addresses
        return await connect(
            addresses.temporal_address, namespace=addresses.temporal_namespace, keyring=self.keyring
        )

    async def stop_programs(self) -> None:
        for name in reversed(PROGRAMS):
            if name in self.stack.names():
                await self.stack.stop_one(name)

    async def start_programs(self) -> None:
        for name in PROGRAMS:
            await self.stack.start(name)

    def rotate_all(self) -> tuple[Keyring, Keyring]:
        """A new active key in each section; the keyring before and after."""
        before = self.keyring
        for section in SECTIONS:
            assert keys.rotate(self.settings, section, stage=False, activate=None) == 0
        after = self.keyring
        self.keyrings.append(after)
        assert all(getattr(before, name).active != getattr(after, name).active for name in SECTIONS)
        return before, after

    async def seat(self) -> Player:
        (player,) = await seat_players(self.platform, 1)
        return player

    async def round_of(self, round_id: str) -> dict[str, Any]:
        row = await until(
            lambda: self.database.pool.fetchrow("SELECT * FROM round_view WHERE round_id = $1", round_id)
        )
        return dict(row)

    async def handle(self, round_id: str) -> WorkflowHandle[Any, Any]:
        row = await self.round_of(round_id)
        client = await self.temporal()
        return client.get_workflow_handle(f"demo:{row['player_key']}:{round_id}")

    async def history(self, round_id: str) -> bytes:
        """As Temporal has it: sealed."""
        events = (await self.handle(round_id)).fetch_history_events()
        return b"".join([event.SerializeToString() async for event in events])

    async def shown(self, round_id: str) -> str:
        """What `round show` tells."""
        wanted = Wanted(round_id=round_id, operator_id=None, player_id=None)
        return "\n".join(lines(await rounds.read(self.settings, wanted)))

    async def shown_with(self, round_id: str, *parts: str) -> str:
        async def complete() -> str:
            text = await self.shown(round_id)
            return text if all(part in text for part in parts) else ""

        return await until(complete)


@pytest.fixture(scope="module")
async def casino(request: pytest.FixtureRequest, full: bool) -> AsyncIterator[Casino]:
    if not full:
        pytest.skip("restarts a whole stack four times, which takes three minutes: --full")
    home = PROJECT_ROOT / ".local" / f"tests-keys-{os.getpid()}"
    settings = Settings(home=home, log_level="debug", reconcile_every_s=1_000_000_000)
    failed_before = request.session.testsfailed
    async with Stack(settings) as stack:
        operator = await stack.start_services(provision=True)
        await stack.start_programs()
        database = await open_database(stack.addresses.database_url, connections=5)
        try:
            yield Casino(stack, database, stack.info(operator), [Keyring.load(settings.keyring)])
        finally:
            await database.close()
    if request.session.testsfailed > failed_before:
        print(f"the logs of the casino are in {home / 'logs'}", file=sys.stderr)  # noqa: T201
    else:
        control.reset(settings)
        shutil.rmtree(home)


@asynccontextmanager
async def held_round(casino: Casino, round_id: str) -> AsyncIterator[None]:
    """A round that waits inside the block: its stake is held, its settle cannot commit."""
    player = await casino.seat()
    async with casino.database.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE transfers IN EXCLUSIVE MODE")
        betting = asyncio.create_task(player.bet_once(round_id))
        handle = await casino.handle(round_id)

        async def settle_is_under_way() -> bool:
            pending = (await handle.describe()).raw_description.pending_activities
            return any(activity.activity_type.name == "settle" for activity in pending)

        await until(settle_is_under_way)
        await casino.stop_programs()
        await asyncio.gather(betting, return_exceptions=True)
        yield


async def test_what_was_made_before_a_rotation_of_every_section_stays_readable(casino: Casino) -> None:
    player, old_round, new_round = await casino.seat(), uuid4().hex, uuid4().hex
    # Its event, signed with the old key, waits in the queue for the statistics with the new keyring.
    await casino.stack.stop_one("statistics")
    assert (await player.bet_once(old_round)).status_code == 201
    await casino.shown_with(old_round, "completed: settled")
    await casino.stop_programs()
    before, after = casino.rotate_all()
    await casino.start_programs()

    told = await casino.shown_with(old_round, "settle in", "completed: settled", "statistics  applied")
    assert "cannot be read" not in told
    assert (await player.bet_once(new_round)).status_code == 201, "the old token places bets"
    told = await casino.shown_with(new_round, "completed: settled", "statistics  applied")
    assert "cannot be read" not in told

    # Each was made with the key of its day.
    old_id, new_id = (keyring.payload.active.encode() for keyring in (before, after))
    old_history, new_history = await casino.history(old_round), await casino.history(new_round)
    assert (old_id in old_history, new_id in old_history) == (True, False)
    assert (old_id in new_history, new_id in new_history) == (False, True)
    assert jwt.get_unverified_header(player.token)["kid"] == before.tokens.active
    assert jwt.get_unverified_header((await casino.seat()).token)["kid"] == after.tokens.active
    row = await casino.round_of(old_round)
    assert row["sealed_server_seed"].split(".")[1] == before.seeds.active
    seed = await casino.database.pool.fetchrow(
        "SELECT id, server_seed_hash FROM seeds WHERE sealed_server_seed = $1", row["sealed_server_seed"]
    )
    opened = SeedVault(after).open(str(seed["id"]), row["sealed_server_seed"])
    assert commitment(opened) == seed["server_seed_hash"]


async def test_a_round_that_is_open_across_a_rotation_of_every_section_goes_to_its_end(
    casino: Casino,
) -> None:
    round_id = uuid4().hex
    async with held_round(casino, round_id):
        before, after = casino.rotate_all()
        await casino.start_programs()
        assert (await casino.round_of(round_id))["state"] == "pending"
    told = await casino.shown_with(round_id, "completed: settled", "statistics  applied")
    assert "cannot be read" not in told
    history = await casino.history(round_id)
    assert before.payload.active.encode() in history
    assert after.payload.active.encode() in history, "nothing of the round was sealed after the rotation"


async def test_a_round_whose_key_is_removed_stands_still_and_goes_on_when_it_is_back(
    casino: Casino, capsys: pytest.CaptureFixture[str]
) -> None:
    round_id = uuid4().hex
    async with held_round(casino, round_id):
        before, _ = casino.rotate_all()
        complete = casino.keyring
        gone = before.payload.active
        assert keys.remove(casino.settings, "payload", gone, yes=True) == 0
        assert "a round under way stops where it is" in capsys.readouterr().err
        await casino.start_programs()
    # With the lock gone, only the missing key holds the round back.
    why = f"the keyring's payload section has no key '{gone}'"
    told = await casino.shown_with(round_id, "cannot be read (UnknownKey", why, "attempt 3")
    (start,) = [line for line in told.splitlines() if "workflow    started" in line]
    assert f"cannot be read (UnknownKey: {why}" in start
    assert (await casino.round_of(round_id))["state"] == "pending"
    held = await casino.database.pool.fetchval(
        "SELECT held FROM accounts WHERE id = (SELECT account_id FROM rounds WHERE round_id = $1)", round_id
    )
    assert held == STAKE
    await casino.stop_programs()
    complete.save(casino.settings.keyring, overwrite=True)
    await casino.start_programs()
    assert "cannot be read" not in await casino.shown_with(round_id, "completed: settled")


async def test_no_key_is_in_any_log(casino: Casino) -> None:
    logs = [path.read_bytes() for path in (casino.settings.home / "logs").iterdir()]
    assert len(logs) >= len(PROGRAMS)
    secrets = {
        form
        for keyring in casino.keyrings
        for name in SECTIONS
        for key in getattr(keyring, name).keys.values()
        for form in (base64.b64encode(key), base64.urlsafe_b64encode(key), key.hex().encode())
    }
    assert len(casino.keyrings) > 1
    assert not [secret for secret in secrets for text in logs if secret in text]
