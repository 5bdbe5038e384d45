"""One casino for the whole drill, with services of its own: each of them is broken in turn."""

import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from compose import control
from runtime.settings import PROJECT_ROOT
from tests.drill.casino import Casino
from tests.drill.casino import casino as opened
from tests.support import promtool


@pytest.fixture(scope="package")
def rule_checker() -> Path:
    """promtool. Skips, with how to get it, before anything is started."""
    return promtool.find()


@pytest.fixture(scope="package")
async def casino(rule_checker: Path, request: pytest.FixtureRequest) -> AsyncIterator[Casino]:
    home = PROJECT_ROOT / ".local" / f"tests-drill-{os.getpid()}"
    failed_before = request.session.testsfailed
    async with opened(home) as casino:
        yield casino
    if request.session.testsfailed > failed_before:
        print(f"the logs of the drill are in {home / 'logs'}", file=sys.stderr)  # noqa: T201
    else:
        control.reset(casino.stack.settings)
        shutil.rmtree(home)
