"""The step that tells the world: publish a recorded event, wait for the confirm, mark it."""

from typing import Protocol

import asyncpg
from temporalio import activity
from temporalio.exceptions import ApplicationError

from contracts import steps
from contracts.events import RecordedEvent
from contracts.failures import LEDGER_CONFLICT
from contracts.rounds import EmitRequest
from storage import outbox

# Well inside the short way's limit, so that a silent broker is told from a slow database.
SHORT_PUBLISH_LIMIT_S = 0.7
PATIENT_PUBLISH_LIMIT_S = 4.0


class Publishes(Protocol):
    async def publish(self, event: RecordedEvent, *, timeout_seconds: float) -> None: ...


class EventSteps:
    """A crash between confirm and mark sends the event again, with the same id: consumers apply it once."""

    def __init__(self, pool: asyncpg.Pool, publisher: Publishes) -> None:
        self._pool = pool
        self._publisher = publisher

    @activity.defn(name=steps.EMIT.name)
    async def emit(self, request: EmitRequest) -> bool:
        """True when this call published the event, False when it had been before."""
        found = await outbox.find(self._pool, request.event_id)
        if found is None:
            raise ApplicationError(
                f"no event {request.event_id} is recorded", type=LEDGER_CONFLICT, non_retryable=True
            )
        event, published = found
        if published:
            return False
        limit_s = SHORT_PUBLISH_LIMIT_S if activity.info().is_local else PATIENT_PUBLISH_LIMIT_S
        await self._publisher.publish(event, timeout_seconds=limit_s)
        await outbox.mark_published(self._pool, [event.event_id])
        return True
