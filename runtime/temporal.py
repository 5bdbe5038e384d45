"""The connection to Temporal: everything that goes through it is encrypted."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from temporalio.client import Client
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from security.keyring import Keyring
from security.payload_codec import data_converter

if TYPE_CHECKING:
    from temporalio.worker import Worker


async def connect(address: str, *, namespace: str, keyring: Keyring) -> Client:
    """A connected client. Raises RuntimeError when the address does not answer."""
    return await Client.connect(
        address, namespace=namespace, data_converter=data_converter(keyring), runtime=_runtime()
    )


LAST_STEP_S: Final = 10.0


def certain_to_end(worker: Worker, *, last_step_s: float = LAST_STEP_S) -> Worker:
    """The same worker, which ends though the SDK does not.

    When every task is done and reported, the core's own end is all that is left. It was seen never to come,
    once in some thousand ends, after an activity was cancelled (SDK 1.35). The SDK passes over an error of
    this step, so it only has to be given up.
    """
    bridge = worker._bridge_worker
    end = bridge.finalize_shutdown

    async def end_or_give_up() -> None:
        await asyncio.wait_for(end(), last_step_s)

    bridge.finalize_shutdown = end_or_give_up  # type: ignore[method-assign]
    return worker


def _runtime() -> Runtime:
    # The SDK's core takes a thread for each processor, and with Python's own thread beside them they mostly
    # wait for each other: one was measured to save 15% of a round's CPU on two processors.
    os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
    logging = LoggingConfig(filter=TelemetryFilter(core_level="WARN", other_level="ERROR"))
    return Runtime(
        telemetry=TelemetryConfig(logging=logging), worker_heartbeat_interval=timedelta(seconds=60)
    )
