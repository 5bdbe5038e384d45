"""The emit step: publishes a recorded event, waits for the confirm, marks it."""

import asyncio
import logging
from contextlib import suppress
from typing import Final, Protocol

import asyncpg
from temporalio import activity
from temporalio.exceptions import ApplicationError

from contracts import steps
from contracts.events import RecordedEvent
from contracts.failures import LEDGER_CONFLICT
from contracts.rounds import EmitRequest
from storage import outbox
from storage.database import AWAY

# Well inside the limit of the fast path, so that a silent broker does not outlast it.
FAST_PUBLISH_LIMIT_S: Final = 0.7
DURABLE_PUBLISH_LIMIT_S: Final = 4.0
# The confirmed events of this time are marked with one statement. Nobody waits for a mark: the relay leaves
# events of rounds alone for ten seconds.
MARKING_PAUSE_S: Final = 0.5

log = logging.getLogger(__name__)


class Publishes(Protocol):
    async def publish(self, event: RecordedEvent, *, timeout_seconds: float) -> None: ...


class EventActivities:
    """A crash between confirm and mark sends the event again, with the same id: consumers apply it once."""

    def __init__(self, pool: asyncpg.Pool, publisher: Publishes) -> None:
        self._pool = pool
        self._publisher = publisher
        self._marks = _Marks(pool)

    @activity.defn(name=steps.EMIT.name)
    async def emit(self, request: EmitRequest) -> bool:
        """Returns True when this call published the event, False when it had been published before."""
        found = await outbox.find(self._pool, request.event_id)
        if found is None:
            raise ApplicationError(
                f"no event {request.event_id} is recorded", type=LEDGER_CONFLICT, non_retryable=True
            )
        event, published = found
        if published:
            return False
        await self._publish(event, DURABLE_PUBLISH_LIMIT_S)
        return True

    async def emit_now(self, event: RecordedEvent) -> None:
        """Publishes an event that was recorded a moment ago, within FAST_PUBLISH_LIMIT_S seconds. Raises
        what the publisher raises."""
        await self._publish(event, FAST_PUBLISH_LIMIT_S)

    async def close(self) -> None:
        """Marks what is confirmed. Call when no step runs any more."""
        await self._marks.close()

    async def _publish(self, event: RecordedEvent, limit_s: float) -> None:
        await self._publisher.publish(event, timeout_seconds=limit_s)
        self._marks.add(event.event_id)


class _Marks:
    """Marks confirmed events in the outbox, many with one statement, since no round waits for its mark. A
    lost mark costs another publish by the relay, which consumers recognise by its id."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._confirmed: list[str] = []
        self._marking: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def add(self, event_id: str) -> None:
        self._confirmed.append(event_id)
        if self._marking is None:
            self._marking = asyncio.create_task(self._mark_all())

    async def close(self) -> None:
        self._closing.set()
        if self._marking is not None:
            await self._marking

    async def _mark_all(self) -> None:
        try:
            while self._confirmed:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), MARKING_PAUSE_S)
                event_ids, self._confirmed = self._confirmed, []
                await self._mark(event_ids)
        finally:
            self._marking = None

    async def _mark(self, event_ids: list[str]) -> None:
        try:
            await outbox.mark_published(self._pool, event_ids)
        except AWAY as error:
            log.warning("%d events are published and not marked: %s", len(event_ids), type(error).__name__)
