"""One Temporal server that skips time, and one that does not; a stage of its own for each round."""

from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest
from temporalio.client import Client

from tests.workflow.server import temporal_server
from tests.workflow.stage import Stage


@pytest.fixture(scope="session")
async def skipping() -> AsyncIterator[Client]:
    async with temporal_server(skip_time=True) as environment:
        yield environment.client


@pytest.fixture(scope="session")
async def steady() -> AsyncIterator[Client]:
    """Its time passes as elsewhere, so that a round waits for its player."""
    async with temporal_server(skip_time=False) as environment:
        yield environment.client


@pytest.fixture
def waiting_stage(steady: Client) -> Stage:
    return Stage(steady, uuid4().hex[:8])


@pytest.fixture
def new_stage(skipping: Client) -> Callable[[], Stage]:
    return lambda: Stage(skipping, uuid4().hex[:8])


@pytest.fixture
def stage(new_stage: Callable[[], Stage]) -> Stage:
    return new_stage()
