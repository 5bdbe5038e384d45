"""Our own programs: the one table of them, from which deploy files are made, and how the stack runs one.

`compose/deploy_files.py` makes the files of Docker Compose, Kubernetes and systemd from this table; tests
hold the programs to it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final

from compose import probes
from compose.process import Command
from compose.service import Say
from runtime.settings import PROJECT_ROOT


@dataclass(frozen=True, kw_only=True)
class Program:
    """What whoever runs one of our programs must know.

    `settings` must be set, beside the keyring and a port. `drain_s` is how long it may take from SIGTERM to
    its end. Of a program with one copy a second gains nothing; two at once, as in an update, do no harm. One
    that is `optional` runs where somebody wants it.
    """

    name: str
    does: str
    module: str
    settings: tuple[str, ...]
    metrics_port: int
    drain_s: int
    copies: int = 1
    http_port: int | None = None
    ready: str = "/metrics"  # the metrics open last: that they answer means that the program is ready
    alive: str = "/metrics"
    calls_out: bool = False  # over HTTPS, to operators' wallets and webhooks
    optional: bool = False
    keys: str = "keyring_json"  # the secret that it gets as its keyring
    may_be_empty: tuple[str, ...] = ()  # secrets whose files are there, and empty where nobody needs them
    codec_port: int | None = None
    console_port: int | None = None
    certificate: tuple[str, ...] = ()  # settings of files without which it listens on loopback alone

    @property
    def people_port(self) -> int | None:
        """Where browsers reach it, who come past no proxy of the ingress's."""
        return self.codec_port or self.console_port

    @property
    def probe_port(self) -> int:
        """Where `ready` and `alive` are asked."""
        return self.http_port or self.metrics_port


PROGRAMS: Final = (
    Program(
        name="ingress",
        does="plays rounds: HTTP, WebSockets, the queue, and the round worker",
        module="workers.serve",
        settings=("database_url", "amqp_url", "temporal_address"),
        http_port=8080,
        metrics_port=9110,
        ready="/readyz",
        alive="/healthz",
        copies=2,
        calls_out=True,
        drain_s=60,
    ),
    Program(
        name="relay",
        does="publishes the events that no workflow publishes",
        module="workers.relay",
        settings=("database_url", "amqp_url"),
        metrics_port=9120,
        drain_s=20,
    ),
    Program(
        name="statistics",
        does="adds up stakes and wins from the events",
        module="workers.statistics",
        settings=("database_url", "amqp_url"),
        metrics_port=9130,
        drain_s=20,
    ),
    Program(
        name="reconciler",
        does="compares ledger, Temporal, events and operators' wallets",
        module="workers.reconciler",
        settings=("database_url", "amqp_url", "temporal_address"),
        metrics_port=9140,
        copies=2,
        calls_out=True,
        drain_s=20,
    ),
    Program(
        name="webhooks",
        does="sends events to operators' webhooks",
        module="workers.webhooks",
        settings=("database_url", "temporal_address"),
        metrics_port=9150,
        copies=2,
        calls_out=True,
        drain_s=20,
    ),
    Program(
        name="codec",
        does="opens payloads for Temporal's web interface and tools",
        module="workers.codec",
        settings=("database_url",),
        codec_port=8290,
        metrics_port=9160,
        drain_s=10,
        optional=True,
        keys="payload_keys_json",
        certificate=("codec_tls_cert", "codec_tls_key"),
    ),
    Program(
        name="console",
        does="shows operators their rounds, and lets them decide",
        module="workers.console",
        settings=("console_database_url", "console_api_url", "temporal_address"),
        console_port=8390,
        metrics_port=9170,
        drain_s=10,
        optional=True,
        keys="payload_keys_json",
        may_be_empty=("console_oidc_client_secret",),
        certificate=("console_tls_cert", "console_tls_key"),
    ),
)
DRAIN_S: Final = {program.module: program.drain_s for program in PROGRAMS}


@dataclass(frozen=True, kw_only=True)
class OwnProgram:
    """`python -m module`, ready when `ready_url` answers 200. Its settings travel in its environment."""

    name: str
    module: str
    ready_url: str
    settings: dict[str, str]
    start_seconds: float = 120.0
    pass_fds: tuple[int, ...] = ()

    async def prepare(self, say: Say) -> None:
        """Nothing: the tables and the keys are made before any of the programs."""

    def command(self) -> Command:
        return Command(
            name=self.name,
            argv=(sys.executable, "-m", self.module),
            environment={**os.environ, **self.settings, "PYTHONUNBUFFERED": "1"},
            folder=PROJECT_ROOT,
            stop_seconds=DRAIN_S.get(self.module, 20.0),
            pass_fds=self.pass_fds,
        )

    async def probe(self) -> None:
        await probes.http(self.ready_url)
