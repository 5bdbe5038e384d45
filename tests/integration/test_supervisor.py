"""The supervisor as a process: it starts again what dies, at the same place, and says so; strict, it ends."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from cli.stack import manage
from compose import control, process
from compose.layout import Layout
from runtime.settings import PROJECT_ROOT, Settings, to_environment
from tests.support.conditions import HANG_S

# To start one of the services, on a busy machine.
START_S = 120.0


class Supervisor:
    """One that runs: what it reports, line by line."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        assert running.stdout is not None
        self.running, self._lines = running, running.stdout

    async def report(self, event: str, name: str | None = None) -> dict[str, Any]:
        """The next report of this event, of this component if named."""
        async with asyncio.timeout(START_S):
            while line := await self._lines.readline():
                found: dict[str, Any] = json.loads(line)
                if found["event"] == event and name in (None, found.get("name")):
                    return found
        raise AssertionError(f"the supervisor ended before {event} {name}")


@pytest.fixture
async def settings(amqp_url: str) -> AsyncIterator[Settings]:
    """Of a home of this test alone. RabbitMQ takes longest, so it is the one of all tests."""
    home = PROJECT_ROOT / ".local" / f"tests-supervisor-{os.getpid()}"
    settings = Settings(home=home, amqp_url=amqp_url)
    yield settings
    control.reset(settings)
    shutil.rmtree(home, ignore_errors=True)


@asynccontextmanager
async def supervised(settings: Settings, *flags: str) -> AsyncIterator[Supervisor]:
    """PostgreSQL and Temporal, until the block ends."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "compose.supervisor", "--attached", "--services-only", *flags),
        env={**os.environ, **to_environment(settings)},
        cwd=PROJECT_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert running.stdin is not None
    try:
        yield Supervisor(running)
    finally:
        running.stdin.close()
        await asyncio.wait_for(running.communicate(), HANG_S)


def kill(layout: Layout, name: str) -> int:
    found = process.recorded(layout, name)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    return found.pid


async def test_what_dies_is_started_again_over_its_data_and_status_says_so(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Layout(settings.home)
    async with supervised(settings) as supervisor:
        stack = (await supervisor.report("up"))["stack"]
        connection = await asyncpg.connect(stack["database_url"])
        await connection.execute("CREATE TABLE kept (value int); INSERT INTO kept VALUES (7)")
        connection.terminate()
        for name in ("postgres", "temporal"):
            pid = kill(layout, name)
            death = await supervisor.report("died", name)
            assert (death["how"], death["restart_in_s"]) == ("was killed by SIGKILL", 0.5)
            await supervisor.report("ready", name)
            found = process.recorded(layout, name)
            assert found is not None
            assert found.pid != pid
        connection = await asyncpg.connect(stack["database_url"])
        assert await connection.fetchval("SELECT value FROM kept") == 7
        await connection.close()
        assert control.stack_info(layout) == stack

        assert manage.status(settings, as_json=True) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["up"]
        # A new PostgreSQL may die once more: of a child of the killed one that has not ended yet.
        killed = [death["name"] for death in shown["deaths"] if death["how"] == "was killed by SIGKILL"]
        assert killed == ["postgres", "temporal"]
        manage.status(settings, as_json=False)
        assert "SIGKILL" in capsys.readouterr().out
    assert supervisor.running.returncode == 0


async def test_strict_it_stops_everything_and_status_still_says_what_died(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Layout(settings.home)
    async with supervised(settings, "--strict") as supervisor:
        await supervisor.report("up")
        kill(layout, "temporal")
        assert (await supervisor.report("died", "temporal"))["restart_in_s"] is None
        assert (await supervisor.report("problem"))["text"].startswith("temporal was killed by SIGKILL; ")
        assert await asyncio.wait_for(supervisor.running.wait(), HANG_S) == 1
    assert manage.status(settings, as_json=False) == 1
    said = capsys.readouterr().out
    assert "SIGKILL" in said
    assert "not running" in said
    assert process.recorded_names(layout) == []
