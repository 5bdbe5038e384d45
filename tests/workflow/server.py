"""A Temporal server of the tests' own: the CLI's development server, its data in memory."""

import dataclasses
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from temporalio.converter import DataConverter
from temporalio.testing import WorkflowEnvironment

from contracts.payloads import PayloadConverter

IDENTITY: Final = "croupier-test"

# Payloads as production writes them before it encrypts them.
PLAIN: Final = dataclasses.replace(DataConverter.default, payload_converter_class=PayloadConverter)

# Time is skipped by the server itself, for each workflow on its own. By default it looks at its timers
# once a second, which would make every skipped pause cost a second.
TIME_SKIPPING: Final = (
    "frontend.WorkflowTimeSkippingEnabled=true",
    'history.timerProcessorMaxTimeShift="10ms"',
    "history.timerProcessorMaxPollRPS=1000",
)


@asynccontextmanager
async def temporal_server(*, skip_time: bool) -> AsyncIterator[WorkflowEnvironment]:
    start = WorkflowEnvironment.start_time_skipping_v2 if skip_time else WorkflowEnvironment.start_local
    settings = [word for pair in TIME_SKIPPING for word in ("--dynamic-config-value", pair)]
    environment = await start(
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
        dev_server_extra_args=settings if skip_time else [],
        dev_server_log_level="never",
        dev_server_startup_timeout=timedelta(seconds=30),
        identity=IDENTITY,
        data_converter=PLAIN,
    )
    async with environment:
        yield environment
