"""The embedded stack: what it starts it also ends, and it finds its data again. RabbitMQ is the one of the
other tests, given as an outside service, because it takes longest to start.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import psutil
import pytest

from compose import control, process
from compose.layout import Layout
from compose.problems import AlreadyRunning, PortTaken, Unavailable
from compose.stack import Stack
from runtime.settings import PROJECT_ROOT, Settings, to_environment
from tests.support.conditions import HANG_S

ONE_STACK = """
import asyncio
from compose.stack import Stack
from runtime.settings import load

async def main():
    async with Stack(load()) as stack:
        await stack.start_services()
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
async def own(amqp_url: str) -> AsyncIterator[Callable[..., Settings]]:
    """Makes settings for a home of one test, which is removed afterwards."""
    home = PROJECT_ROOT / ".local" / f"tests-stack-{os.getpid()}"

    def make(**values: object) -> Settings:
        return Settings(home=home, **{"amqp_url": amqp_url, **values})  # type: ignore[arg-type]

    yield make
    control.reset(make())
    shutil.rmtree(home, ignore_errors=True)


async def test_data_ports_and_passwords_are_found_again(own: Callable[..., Settings]) -> None:
    async with Stack(own()) as stack:
        await stack.start_services()
        first = stack.addresses
        connection = await asyncpg.connect(first.database_url)
        await connection.execute("create table kept (value int); insert into kept values (7)")
        await connection.close()
    async with Stack(own()) as stack:
        await stack.start_services()
        assert stack.addresses == first
        connection = await asyncpg.connect(stack.addresses.database_url)
        assert await connection.fetchval("select value from kept") == 7
        await connection.close()


async def test_nothing_is_left_after_an_orderly_stop(own: Callable[..., Settings]) -> None:
    async with Stack(own()) as stack:
        await stack.start_services()
        processes = [psutil.Process(stack.pid(name)) for name in stack.names()]
        assert len(processes) == 2
    assert not any(one.is_running() for one in processes)
    assert process.recorded_names(stack.layout) == []


async def test_a_component_that_dies_is_named_with_the_end_of_its_log(own: Callable[..., Settings]) -> None:
    async with Stack(own()) as stack:
        await stack.start_services()
        os.kill(stack.pid("postgres"), signal.SIGKILL)
        died = await asyncio.wait_for(stack.death(), HANG_S)
        assert died.name == "postgres"
        assert "SIGKILL" in died.how
        assert "ready to accept connections" in died.tail


async def test_a_killed_component_starts_again_in_the_same_place(own: Callable[..., Settings]) -> None:
    async with Stack(own()) as stack:
        await stack.start_services()
        await stack.kill("postgres")
        await stack.start("postgres")
        connection = await asyncpg.connect(stack.addresses.database_url)
        await connection.close()
        # A death that a test asked for alarms nobody: the first to be told of is the next one.
        os.kill(stack.pid("temporal"), signal.SIGKILL)
        assert (await asyncio.wait_for(stack.death(), HANG_S)).name == "temporal"


async def test_the_services_end_with_a_parent_that_was_killed(own: Callable[..., Settings]) -> None:
    settings = own()
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ONE_STACK),
        env={**os.environ, **to_environment(settings)},
        cwd=PROJECT_ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    assert await asyncio.wait_for(parent.stdout.readline(), HANG_S) == b"ready\n"
    layout = Layout(settings.home)
    services = [one for name, one in control.components(layout).items() if one and name != "keeper"]
    assert len(services) == 2
    parent.kill()
    await parent.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, services, HANG_S)
    assert alive == []
    assert control.down(layout) == []


async def test_a_second_one_in_the_same_home_is_refused(own: Callable[..., Settings]) -> None:
    async with Stack(own()):
        with pytest.raises(AlreadyRunning):
            Stack(own()).open()


async def test_a_given_port_that_is_in_use_is_refused_before_anything_starts(
    own: Callable[..., Settings],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"{port} .CROUPIER_HTTP_PORT.") as caught:
            Stack(own(http_port=port)).open()
        assert caught.value.exit_code == 2


async def test_an_outside_service_that_is_not_there_is_named_without_its_password(
    own: Callable[..., Settings],
) -> None:
    settings = own(amqp_url="amqp://somebody:hunter2@127.0.0.1:1/", database_url=None)
    async with Stack(settings) as stack:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 \(CROUPIER_AMQP_URL\)") as caught:
            await stack.start_services()
    assert "hunter2" not in str(caught.value)


async def test_a_stranger_with_a_recorded_pid_is_left_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "home")
    layout.create()
    stranger = await asyncio.create_subprocess_exec("sleep", "600")
    process.record(layout, "temporal", stranger.pid)
    known = process.record_of(layout, "temporal")
    known.write_text(known.read_text().replace('"created": ', '"created": 1'))
    try:
        assert control.down(layout) == []
        assert stranger.returncode is None
        assert psutil.Process(stranger.pid).is_running()
    finally:
        stranger.kill()
        await stranger.wait()


def test_what_a_killed_keeper_left_behind_is_ended(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "home")
    layout.create()
    left = subprocess.Popen(["sleep", "600"])
    process.record(layout, "temporal", left.pid)
    assert control.down(layout) == ["temporal"]
    assert not psutil.pid_exists(left.pid)
    left.poll()  # psutil has reaped it; this only tells the handle
