"""The connection to Temporal: everything that goes through it is encrypted."""

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
    logging = LoggingConfig(filter=TelemetryFilter(core_level="WARN", other_level="ERROR"))
    return Runtime(
        telemetry=TelemetryConfig(logging=logging), worker_heartbeat_interval=timedelta(seconds=60)
    )
