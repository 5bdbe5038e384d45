"""`croupier backup` and `restore` as an SRE types them, on a stack of their own."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

import pytest
from pydantic import SecretStr

from compose import control
from compose.backups import BASE, Backups
from compose.layout import Layout, write_json
from compose.stack import Stack
from runtime.settings import PROJECT_ROOT, Settings, to_environment
from security.keyring import Keyring
from storage import restores
from storage.database import open_database
from storage.restores import LedgerState
from tests.support.commands import Ended, invoke
from tests.support.files import contents
from tests.support.ledger import Seat, take_seat

# A restore starts PostgreSQL and Temporal, on a machine that may be busy.
RESTORE_S: Final = 240.0
BALANCES: Final = "SELECT balance FROM accounts WHERE kind = 'player' AND operator_id = $1"


@pytest.fixture
async def settings(amqp_url: str) -> AsyncIterator[Settings]:
    made = Settings(
        home=PROJECT_ROOT / ".local" / f"tests-backups-{os.getpid()}", amqp_url=SecretStr(amqp_url)
    )
    yield made
    for home in (made.home / "elsewhere", made.home):
        if home.exists():
            control.reset(made.model_copy(update={"home": home, "keyring": home / "keyring.json"}))
    shutil.rmtree(made.home, ignore_errors=True)


async def croupier(settings: Settings, *arguments: str, **variables: str) -> Ended:
    """The command in this process, with a loop of its own."""
    return await asyncio.to_thread(invoke, {**to_environment(settings), **variables}, *arguments)


async def refused(settings: Settings, why: str, *arguments: str, **variables: str) -> None:
    """One line, and exit 1."""
    code, output, errors = await croupier(settings, *arguments, **variables)
    assert (code, output) == (1, ""), errors
    said = [line for line in errors.splitlines() if line.startswith("croupier: ")]
    assert len(said) == 1, errors
    assert why in said[0], errors


async def restored(settings: Settings, *arguments: str, code: int = 0) -> str:
    """The command as it is: it starts servers, which end with whoever has started them."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "restore", "--yes", *arguments),
        cwd=PROJECT_ROOT,
        env={**os.environ, **to_environment(settings)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), RESTORE_S)
    assert process.returncode == code, output.decode()
    return output.decode()


async def test_a_backup_goes_back_to_a_moment_and_refuses_what_would_lose_something(
    settings: Settings,
) -> None:
    await refused(settings, "is not up", "backup")
    async with Stack(settings) as stack:
        await asyncio.gather(stack.start_database(), stack.start_temporal())
        operator = await stack.provision()
        write_json(stack.layout.stack_file, stack.info(operator))
        seat, moment = await _backed_up(settings, stack)
    await _refusals(settings)
    elsewhere = _on_another_machine(settings)
    said = await restored(elsewhere, "--to", moment, code=3)
    assert "this Temporal has never known this ledger" in said
    assert "epoch 2" in said
    assert f"restored up to the transaction of {moment[:10]}" in said
    assert "data of before" not in said, "there was none"
    async with Stack(elsewhere) as stack:
        await stack.start_database()
        database = await open_database(stack.addresses.database_url, connections=2)
        assert await restores.state(database.pool) is LedgerState.OPEN
        assert await database.pool.fetchval(BALANCES, seat.session.operator_id) == 1_000
        await database.close()


def _on_another_machine(settings: Settings) -> Settings:
    """A home with the backups and the keyring, and nothing else."""
    made = settings.model_copy(
        update={"home": settings.home / "elsewhere", "keyring": settings.home / "elsewhere" / "keyring.json"}
    )
    shutil.copytree(settings.home / "backups", made.home / "backups")
    shutil.copy2(settings.keyring, made.keyring)
    return made


async def _backed_up(settings: Settings, stack: Stack) -> tuple[Seat, str]:
    """A backup; then a deposit, a moment, and another deposit."""
    backups = Backups(settings.home)
    code, output, errors = await croupier(settings, "backup", "--json")
    assert code == 0, errors
    made = json.loads(output)
    half = backups.folder / ".20200101T000000Z"
    (half / BASE).mkdir(parents=True)
    await refused(settings, "was never finished", "backup", "--verify", "20200101T000000Z")
    code, output, _ = await croupier(settings, "backup", "--list", "--json")
    assert (code, [one["name"] for one in json.loads(output)]) == (0, [made["name"]])
    code, output, _ = await croupier(settings, "backup", "--verify", made["name"])
    assert (code, "is whole" in output) == (0, True)
    keyring = settings.keyring.read_bytes()
    assert not [path for path, content in contents(backups.folder) if content == keyring]

    database = await open_database(stack.addresses.database_url, connections=2)
    seat = await take_seat(database, balance=1_000)
    moment = await database.pool.fetchval("SELECT clock_timestamp()")
    await seat.deposit(500)
    assert await database.pool.fetchval(BALANCES, seat.session.operator_id) == 1_500
    await database.close()
    await refused(settings, "is running: ./croupier down first", "restore", "--yes")
    return seat, moment.isoformat()


async def _refusals(settings: Settings) -> None:
    """Each before anything changes."""
    cluster = Layout(settings.home).data / "postgres"
    before = sorted(path.name for path in cluster.resolve().iterdir())
    other = settings.home / "other.json"
    Keyring.generate().save(other)
    await refused(settings, "is not the one of backup", "restore", "--yes", CROUPIER_KEYRING=str(other))
    await refused(settings, "is in the future", "restore", "--yes", "--to", "2999-01-01T00:00:00Z")
    await refused(settings, "no backup in", "restore", "--yes", "--to", "2020-01-01T00:00:00Z")
    await refused(settings, "is no time", "restore", "--yes", "--to", "yesterday")
    await refused(settings, "there is no backup", "restore", "--yes", "20200102T000000Z")
    backups = Backups(settings.home)
    file = backups.folder / backups.find(None, None).name / BASE / "PG_VERSION"
    content = file.read_bytes()
    file.write_bytes(b"17\n")
    await refused(settings, "is damaged", "restore", "--yes")
    file.write_bytes(content)
    beyond = await restored(settings, "--to", datetime.now(UTC).isoformat(), code=1)
    assert "the WAL of this backup ends before that moment" in beyond
    assert sorted(path.name for path in cluster.resolve().iterdir()) == before, "it was put back"
