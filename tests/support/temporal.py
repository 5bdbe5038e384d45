"""A Temporal server of the tests' own: the CLI's development server, its data in memory. One for all tests of
a run, with a client whose workflows skip time (`skipping`) and one whose workflows wait for it (`steady`).
"""

import dataclasses
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.testing import WorkflowEnvironment

from compose.temporal import RUNTIME
from contracts import search
from contracts.payloads import PayloadConverter
from tests.support.conditions import HANG_S

IDENTITY: Final = "croupier-test"

# Payloads as production writes them before it encrypts them.
PLAIN: Final = dataclasses.replace(DataConverter.default, payload_converter_class=PayloadConverter)

# Time is skipped by the server itself, for each workflow on its own, when its client asks for that. By
# default it looks at its timers once a second, which would make every skipped pause cost a second.
TIME_SKIPPING: Final = (
    "frontend.WorkflowTimeSkippingEnabled=true",
    'history.timerProcessorMaxTimeShift="10ms"',
    "history.timerProcessorMaxPollRPS=1000",
)


@asynccontextmanager
async def temporal_server() -> AsyncIterator[WorkflowEnvironment]:
    """Its own client skips time."""
    settings = [word for pair in TIME_SKIPPING for word in ("--dynamic-config-value", pair)]
    settings += [word for name in search.ATTRIBUTES for word in ("--search-attribute", f"{name}=Keyword")]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in RUNTIME.items():  # as the embedded one's, and a fifth of its processor time less
            patch.setenv(name, value)
        environment = await WorkflowEnvironment.start_time_skipping_v2(
            dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
            dev_server_extra_args=settings,
            dev_server_log_level="never",
            dev_server_startup_timeout=timedelta(seconds=HANG_S),
            identity=IDENTITY,
            data_converter=PLAIN,
        )
    async with environment:
        yield environment


async def steady_client(environment: WorkflowEnvironment) -> Client:
    """Time passes for its workflows as elsewhere."""
    return await environment.connect_client(identity=IDENTITY, data_converter=PLAIN)


@pytest.fixture(scope="session")
async def temporal_environment() -> AsyncIterator[WorkflowEnvironment]:
    async with temporal_server() as environment:
        yield environment


@pytest.fixture(scope="session")
async def skipping(temporal_environment: WorkflowEnvironment) -> Client:
    """A pause that a workflow makes costs it nothing."""
    return temporal_environment.client


@pytest.fixture(scope="session")
async def steady(temporal_environment: WorkflowEnvironment) -> Client:
    """Its time passes as elsewhere, so that a round waits for its player."""
    return await steady_client(temporal_environment)
