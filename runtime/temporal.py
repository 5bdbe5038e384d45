"""The connection to Temporal: everything that goes through it is encrypted."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from temporalio.client import Client, Interceptor
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.service import TLSConfig

from runtime import logs, sdk_metrics
from runtime.request_ids import RequestIds
from runtime.search_attributes import EncodesKeywords
from runtime.services import missing, unreachable
from runtime.settings import PREFIX, Settings, SettingsError
from security.payload_codec import HasPayloadKeys, data_converter

if TYPE_CHECKING:
    from temporalio.worker import Worker


@dataclass(frozen=True, slots=True)
class Access:
    """What a connection needs beside the address: TLS, or none, and who we are. It holds secrets."""

    tls: TLSConfig | bool = field(default=False, repr=False)
    api_key: str | None = field(default=None, repr=False)


NO_TLS: Final = Access()
# Around every call of Temporal, and every activity. Traces, where they are on, are in front of it.
INTERCEPTORS: Final[list[Interceptor]] = [RequestIds(), EncodesKeywords()]


def access(settings: Settings) -> Access:
    """As the settings say; the files that they name are read here. Raises SettingsError."""
    ca, cert = settings.temporal_tls_ca, settings.temporal_tls_cert
    key, api_key = settings.temporal_tls_key, settings.temporal_api_key
    name = settings.temporal_tls_server_name
    if not (settings.temporal_tls or ca or cert or key or name or api_key):
        return NO_TLS
    if (cert is None) != (key is None):
        raise SettingsError(
            "settings temporal_tls_cert and temporal_tls_key come together: give both or none"
        )
    tls = TLSConfig(
        server_root_ca_cert=_pem("temporal_tls_ca", ca),
        client_cert=_pem("temporal_tls_cert", cert),
        client_private_key=_pem("temporal_tls_key", key),
        domain=name,
    )
    return Access(tls, None if api_key is None else api_key.get_secret_value())


def _pem(setting: str, path: Path | None) -> bytes | None:
    try:
        content = None if path is None else path.read_bytes()
    except OSError as problem:
        reason = f"{path}: {problem.strerror}"
    else:
        if content is None or b"-----BEGIN " in content:
            return content
        reason = f"{path}: not a PEM file"
    raise SettingsError(f"setting {setting} ({PREFIX}{setting.upper()}): {reason}")


async def connect(
    address: str,
    *,
    namespace: str,
    keyring: HasPayloadKeys,
    access: Access = NO_TLS,
    metrics: PrometheusConfig | None = None,
) -> Client:
    """A connected client, whose SDK counts for `metrics`. Raises RuntimeError when the address does not
    answer."""
    return await Client.connect(
        address,
        namespace=namespace,
        data_converter=data_converter(keyring),
        interceptors=INTERCEPTORS,
        runtime=_runtime(metrics),
        tls=access.tls,
        api_key=access.api_key,
    )


async def connect_temporal(settings: Settings, keyring: HasPayloadKeys) -> Client:
    """Raises SettingsError when no address is set, Unreachable when it does not answer."""
    address = settings.temporal_address
    if address is None:
        raise missing("temporal_address")
    try:
        return await connect(
            address,
            namespace=settings.temporal_namespace,
            keyring=keyring,
            access=access(settings),
            metrics=sdk_metrics.OF_THIS_PROCESS.config() if settings.metrics_port else None,
        )
    except RuntimeError as error:
        raise unreachable("Temporal", "temporal_address", error) from None


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


def _runtime(metrics: PrometheusConfig | None) -> Runtime:
    # The SDK's core takes a thread for each processor, and with Python's own thread beside them they mostly
    # wait for each other: one was measured to save 15% of a round's CPU on two processors.
    os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
    # By itself the core writes lines of its own form, with colours in them.
    ours = logs.of_the_sdk()
    forwarding = LogForwardingConfig(ours, append_target_to_name=False) if ours else None
    levels = TelemetryFilter(core_level="WARN", other_level="ERROR")
    logging = LoggingConfig(filter=levels, forwarding=forwarding)
    return Runtime(
        telemetry=TelemetryConfig(logging=logging, metrics=metrics),
        worker_heartbeat_interval=timedelta(seconds=60),
    )
