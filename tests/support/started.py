"""A program that `up` starts beside the others, while a test needs it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from compose import probes
from compose.programs import OwnProgram
from compose.service import wait_until_ready
from compose.stack import Stack


@asynccontextmanager
async def started(
    stack: Stack, name: str, start: Callable[[], Awaitable[None]], address: str
) -> AsyncIterator[str]:
    """What `stack.json` has as its `address`: it answers until the block ends."""
    await start()
    try:
        about = stack.info()
        probe = partial(probes.http, about["metrics_urls"][name])
        await wait_until_ready(name, probe, limit_seconds=OwnProgram.start_seconds)
        yield str(about[address])
    finally:
        await stack.stop_one(name)
