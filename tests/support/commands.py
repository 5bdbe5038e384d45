"""The `croupier` command as people call it, while the stack is up."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer.testing import CliRunner

from cli import main
from compose.layout import write_json
from runtime.settings import PROJECT_ROOT
from tests.conftest import Services
from tests.support.conditions import HANG_S

Ended = tuple[int, str, str]


async def run(services: Services, platform: dict[str, Any], *arguments: str) -> Ended:
    """Exit code, output, errors. In this process, because an interpreter with all imports costs a second and
    more; `run_process` is the command as it is."""
    with _stack_up(services, platform):
        # The command has a loop of its own.
        return await asyncio.to_thread(invoke, {"CROUPIER_HOME": str(services.settings.home)}, *arguments)


async def run_process(services: Services, platform: dict[str, Any], *arguments: str) -> Ended:
    """The same by a process of its own."""
    with _stack_up(services, platform):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", *arguments),
            cwd=PROJECT_ROOT,
            env={**os.environ, "CROUPIER_HOME": str(services.settings.home)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), HANG_S)
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


def invoke(variables: dict[str, str], *arguments: str) -> Ended:
    """The command line, with these variables beside those of this process. Raises what it does not catch."""
    ended = CliRunner(env=variables).invoke(main.app, arguments, prog_name="./croupier")
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.exit_code, ended.stdout, ended.stderr


@contextmanager
def _stack_up(services: Services, platform: dict[str, Any]) -> Iterator[None]:
    """Commands find the stack by this file."""
    write_json(services.stack.layout.stack_file, platform)
    try:
        yield
    finally:
        services.stack.layout.stack_file.unlink()
