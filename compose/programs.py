"""Our own programs as components: the ingress with its round worker, the relay, the statistics, the
reconciler, the webhooks.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from compose import probes
from compose.process import Command
from compose.service import Say
from runtime.settings import PROJECT_ROOT


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
            stop_seconds=20.0,
            pass_fds=self.pass_fds,
        )

    async def probe(self) -> None:
        await probes.http(self.ready_url)
