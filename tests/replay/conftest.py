"""One Temporal server that skips time, on which the paths are played."""

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from tests.workflow.server import temporal_server


@pytest.fixture(scope="session")
async def skipping() -> AsyncIterator[Client]:
    async with temporal_server(skip_time=True) as environment:
        yield environment.client
