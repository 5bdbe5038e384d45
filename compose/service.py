"""What the stack knows about each component, and how it waits until one is ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from compose.problems import NotReady, Unavailable
from compose.process import Command

PROBE_EVERY_SECONDS = 0.15
# For one that hangs; a busy machine may need several seconds to import the client alone.
PROBE_LIMIT_SECONDS = 20.0

Say = Callable[[str], None]


class Component(Protocol):
    """One thing to run: how to prepare it, start it and probe it."""

    @property
    def name(self) -> str:
        """The name of its log, its record and its line in `status`."""

    @property
    def start_seconds(self) -> float:
        """How long it may take to become ready."""

    async def prepare(self, say: Say) -> None:
        """Make what must exist before the start (files, downloads). Raises Unavailable."""

    def command(self) -> Command:
        """How to run it."""

    async def probe(self) -> None:
        """Speak its protocol once. Raises NotReady."""


async def wait_until_ready(name: str, probe: Callable[[], Awaitable[None]], *, limit_seconds: float) -> None:
    """Probe until it answers. Raises Unavailable with the last reason when the limit has passed."""
    deadline = time.monotonic() + limit_seconds
    while True:
        try:
            await asyncio.wait_for(probe(), PROBE_LIMIT_SECONDS)
            return
        except (NotReady, TimeoutError) as problem:
            if time.monotonic() >= deadline:
                reason = str(problem) or "no answer"
                raise Unavailable(
                    f"{name} did not become ready within {limit_seconds:.0f} s: {reason}"
                ) from None
        await asyncio.sleep(PROBE_EVERY_SECONDS)
