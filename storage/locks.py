"""Takes locks beside programs that play: for a moment, again after a pause, and says who is in the way."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError

from storage.database import CONNECT_TIMEOUT_S
from storage.release import CannotMigrate

# Whoever waits for a lock holds up everybody who comes after it, also those whom it would not disturb itself.
# So this is how long one statement of a migration can hold a bet up.
LOCK_TIMEOUT_S: Final = 0.5
LOCK_TIMEOUT: Final = f"SET lock_timeout = '{int(LOCK_TIMEOUT_S * 1000)}ms'"
LOOK_AFTER_S: Final = 0.05
SAY_EVERY_S: Final = 5.0
PAUSES_S: Final = (0.25, 0.5, 1.0, 2.0, 5.0)
# A busy server may end the wait before it says for whom it was: a few tries more are worth the name.
TRIES_FOR_A_NAME: Final = 10
# Lock timeout, and the victim of a deadlock: the same statement may succeed later.
IN_THE_WAY: Final = ("55P03", "40P01")
HOLDERS: Final = """
    SELECT a.pid, a.application_name, coalesce(a.xact_start, a.backend_start) AS since, a.state
    FROM pg_stat_activity a WHERE a.pid = ANY(pg_blocking_pids($1)) ORDER BY since
"""

Say = Callable[[str], None]


class Patience:
    """Repeats what meets a lock. `observer` is a connection of its own: the one that waits cannot ask for
    whom."""

    def __init__(self, observer: asyncpg.Connection, pid: int, say: Say, *, limit_s: float) -> None:
        self._observer, self._pid, self._say, self._limit_s = observer, pid, say, limit_s
        self._holders = ""

    async def take(self, what: str, step: Callable[[], Awaitable[None]]) -> None:
        """Does `step`, which is one transaction or none at all, until it is done. Raises CannotMigrate after
        the limit; `step` was rolled back then."""
        began, tries = time.monotonic(), 0
        while not await self._done(what, step):
            holders = self._holders or "a lock"
            if time.monotonic() - began > self._limit_s and (self._holders or tries >= TRIES_FOR_A_NAME):
                raise CannotMigrate(
                    f"{what} still waits for {holders} after {self._limit_s:.0f} s: end that"
                    " (SELECT pg_terminate_backend(pid)), and run this again; it goes on where it was"
                )
            pause_s = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
            self._say(f"{what} waits for {holders}; again in {pause_s:g} s")
            await asyncio.sleep(pause_s)
            tries += 1

    async def wait_for(self, what: str, who: Callable[[asyncpg.Connection], Awaitable[str]]) -> None:
        """Until `who` names nobody any more. Raises CannotMigrate after the limit."""
        began, tries = time.monotonic(), 0
        while there := await who(self._observer):
            if time.monotonic() - began > self._limit_s:
                raise CannotMigrate(
                    f"{what} still waits for programs of an earlier release: {there}. End them, and run this"
                    " again; it goes on where it was"
                )
            pause_s = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
            self._say(f"{what} waits for programs of an earlier release: {there}; again in {pause_s:g} s")
            await asyncio.sleep(pause_s)
            tries += 1

    async def _done(self, what: str, step: Callable[[], Awaitable[None]]) -> bool:
        running = asyncio.ensure_future(step())
        try:
            await asyncio.wait({running}, timeout=LOOK_AFTER_S)
            while not running.done():
                if holders := await self._who_is_in_the_way():
                    self._holders = holders
                await asyncio.wait({running}, timeout=SAY_EVERY_S)
                if holders and not running.done():  # an index that is built concurrently may wait for long
                    self._say(f"{what} waits for {holders}, and holds nobody up")
            await running
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in IN_THE_WAY:
                raise
            return False
        finally:
            # Interrupted, its connection is at rest before it is closed.
            running.cancel()
            await asyncio.wait({running})
        return True

    async def _who_is_in_the_way(self) -> str:
        rows = await self._observer.fetch(HOLDERS, self._pid)
        return " and ".join(
            f"pid {row['pid']} (application {row['application_name'] or 'without a name'!r}, {row['state']},"
            f" since {row['since']:%H:%M:%S} UTC)"
            for row in rows
        )


@asynccontextmanager
async def observed(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that only looks. Raises OSError or asyncpg.PostgresError."""
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
    try:
        yield connection
    finally:
        await connection.close()
