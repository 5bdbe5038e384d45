"""Services of the drill's own: what runs on them, and what is in them, is of several releases."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest

from compose import control
from compose.stack import Stack
from runtime.settings import PROJECT_ROOT, Settings


@pytest.fixture(scope="package")
async def services_alone() -> AsyncIterator[Stack]:
    """PostgreSQL, RabbitMQ and Temporal, with nothing in them and no program of ours."""
    home = PROJECT_ROOT / ".local" / f"tests-upgrade-{os.getpid()}"
    settings = Settings(home=home, log_level="warning", reconcile_every_s=86_400)
    async with Stack(settings) as stack:
        await stack.start_services()
        yield stack
    control.reset(settings)
    shutil.rmtree(home)
