"""The `croupier` command as people call it, while the stack is up."""

import asyncio
import os
import sys
from typing import Any

from compose.layout import write_json
from runtime.settings import PROJECT_ROOT
from tests.conftest import Services


async def run(services: Services, platform: dict[str, Any], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    write_json(services.stack.layout.stack_file, platform)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", *arguments),
            cwd=PROJECT_ROOT,
            env={**os.environ, "CROUPIER_HOME": str(services.settings.home)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), 60)
    finally:
        services.stack.layout.stack_file.unlink()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()
