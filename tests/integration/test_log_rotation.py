"""The logs of the real services, and of a stack that runs, are rotated under them."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import asyncpg
import psutil
import pytest

from compose import control, process
from compose.process import Command
from compose.rotation import Limits, older, rotate
from compose.service import Say
from compose.stack import Stack
from runtime.settings import PROJECT_ROOT, Settings
from tests.conftest import Services
from tests.support.conditions import HANG_S, until

SERVICES: Final = ("postgres", "rabbitmq", "temporal")
MIB: Final = 1024 * 1024


def appends(pid: int, descriptor: int) -> bool:
    """Whether the kernel puts what the process writes there at the file's end."""
    facts = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text().split()
    return bool(int(facts[facts.index("flags:") + 1], 8) & os.O_APPEND)


def writers(log: Path, pid: int) -> dict[tuple[int, int], bool]:
    """The descriptors of the process and its children that are the log, as (pid, descriptor), and whether
    each appends. A child may end while it is looked at: a connection's does when the connection closes."""
    found = {}
    for one in (psutil.Process(pid), *process.children_of(pid)):
        with suppress(OSError):
            for name in os.listdir(f"/proc/{one.pid}/fd"):
                with suppress(OSError):
                    if Path(f"/proc/{one.pid}/fd/{name}").resolve() == log.resolve():
                        found[one.pid, int(name)] = appends(one.pid, int(name))
    return found


@pytest.mark.parametrize("name", SERVICES)
async def test_every_descriptor_of_a_services_log_appends(services: Services, name: str) -> None:
    """Nothing that a service does with the descriptors that it is given takes that away."""
    pid = services.stack.pid(name)
    found = writers(services.stack.layout.log_of(name), pid)
    assert pid in {writer for writer, _ in found}, "the service itself does not end meanwhile"
    assert all(found.values()), found


async def test_postgres_goes_on_in_a_log_that_was_emptied(services: Services) -> None:
    log = services.stack.layout.log_of("postgres")
    connection = await asyncpg.connect(services.stack.addresses.database_url)
    try:
        for words in ("before", "after"):
            with pytest.raises(asyncpg.UndefinedTableError):
                await connection.execute(f'TABLE "it_is_{words}_a_rotation"')

            async def said(words: str = words) -> bool:
                return f"it_is_{words}_a_rotation" in log.read_text()

            await until(said)
            if words == "before":
                rotate(log, Limits(size_bytes=1, kept=1))
    finally:
        await connection.close()
    assert "it_is_before_a_rotation" not in log.read_text()
    assert "\0" not in log.read_text()


class Talkative:
    """A component that writes more than its log may hold, and then waits."""

    name = "talkative"
    start_seconds = HANG_S

    async def prepare(self, say: Say) -> None: ...

    def command(self) -> Command:
        code = (
            "import sys, time\n"
            f"for number in range({3 * MIB // 64}): print(f'{{number:063}}')\n"
            # Again and again: what is written while a log is being emptied is lost.
            "while True: print('the last line', flush=True); time.sleep(0.5)"
        )
        argv = (sys.executable, "-c", code)
        return Command(name=self.name, argv=argv, environment=dict(os.environ), folder=PROJECT_ROOT)

    async def probe(self) -> None: ...


@pytest.fixture
async def small() -> AsyncIterator[Stack]:
    """A stack of which nothing runs but what a test starts, with the smallest logs that there are."""
    home = PROJECT_ROOT / ".local" / f"tests-rotation-{os.getpid()}"
    settings = Settings(home=home, log_file_mib=1, log_files_kept=1)
    async with Stack(settings) as stack:
        yield stack
    control.reset(settings)
    shutil.rmtree(home, ignore_errors=True)


async def test_a_stack_rotates_what_its_programs_write_while_they_run(small: Stack) -> None:
    log = small.layout.log_of("talkative")
    await small.run_alone(Talkative())

    async def rotated() -> bool:
        return older(log, 1).exists() and log.stat().st_size <= MIB

    await until(rotated)
    await until(lambda: asyncio.to_thread(process.tail, log, 1))
    assert small.died() is None, "it still runs"

    async def last() -> bool:
        return process.tail(log, 1) == "the last line"

    await until(last)
    assert older(log, 1).stat().st_size <= 2 * MIB
    assert not older(log, 2).exists()
