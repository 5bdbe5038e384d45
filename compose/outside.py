"""Services that somebody else runs: they are checked and never started or stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from compose.problems import Unavailable
from compose.service import wait_until_ready

# Somebody else's service is there or it is not; a short wait covers one that restarts.
LIMIT_SECONDS = 5.0


@dataclass(frozen=True)
class OutsideService:
    """A service at an address that a setting gives."""

    title: str
    variable: str
    probe: Callable[[], Awaitable[None]]
    place: str  # host and port, without the password

    async def check(self) -> None:
        """Raises Unavailable when it does not answer on its protocol."""
        try:
            await wait_until_ready(self.title, self.probe, limit_seconds=LIMIT_SECONDS)
        except Unavailable as problem:
            reason = str(problem).partition(": ")[2]
            raise Unavailable(
                f"{self.title} at {self.place} ({self.variable}) does not answer: {reason};"
                f" correct the setting, or leave it out to use the embedded one"
            ) from None


def place_of(url: str) -> str:
    """Host and port of a URL, for messages."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
