"""Waiting for something to become true, instead of for a time to pass."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE_S = 0.02


async def until(condition: Callable[[], Awaitable[T]], *, within_s: float = 15.0) -> T:
    """The first truthy value of `condition`; TimeoutError when it has none within the time."""
    async with asyncio.timeout(within_s):
        while True:
            if value := await condition():
                return value
            await asyncio.sleep(PAUSE_S)
