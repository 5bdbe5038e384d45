"""The connection to Temporal: everything that goes through it is encrypted."""

import os
from datetime import timedelta

from temporalio.client import Client
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from security.keyring import Keyring
from security.payload_codec import data_converter


async def connect(address: str, *, namespace: str, keyring: Keyring) -> Client:
    """A connected client. Raises RuntimeError when the address does not answer."""
    return await Client.connect(
        address, namespace=namespace, data_converter=data_converter(keyring), runtime=_runtime()
    )


def _runtime() -> Runtime:
    # The SDK's core takes a thread for each processor, and with Python's own thread beside them they mostly
    # wait for each other: one was measured to save 15% of a round's CPU on two processors.
    os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
    logging = LoggingConfig(filter=TelemetryFilter(core_level="WARN", other_level="ERROR"))
    return Runtime(
        telemetry=TelemetryConfig(logging=logging), worker_heartbeat_interval=timedelta(seconds=60)
    )
