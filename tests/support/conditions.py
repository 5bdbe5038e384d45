"""Waiting for something to become true, instead of for a time to pass."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")
# Between two looks. A look takes processor time from what is waited for: after a while they are fewer.
PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.1
GROWTH: Final = 1.1
# Reached only by what hangs, however busy the machine is. A busy Temporal may lose a task on its way to a
# worker, and gives it out again when the limit of its attempt is over: for the longest, RECONCILE, after two
# minutes. A test that waits for less measures the machine.
HANG_S: Final = 150.0


async def until(condition: Callable[[], Awaitable[T]], *, within_s: float = HANG_S) -> T:
    """The first truthy value of `condition`; TimeoutError when it has none within the time."""
    pause_s = PAUSE_S
    async with asyncio.timeout(within_s):
        while True:
            if value := await condition():
                return value
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * GROWTH, LONGEST_PAUSE_S)
