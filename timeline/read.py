"""Reads a round's time line from the database and from Temporal."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from contracts.failures import one_line
from contracts.views import RoundView
from runtime.services import Unreachable
from storage.timeline import record
from timeline import history
from timeline.model import WorkflowStory
from timeline.timeline import Timeline

# Temporal may be what is broken; the rest is shown all the same, after this time.
TEMPORAL_LIMIT_S: Final = 10.0

Connect = Callable[[], Awaitable[Client]]


async def timeline(pool: asyncpg.Pool, view: RoundView, connect: Connect, *, ui: str | None) -> Timeline:
    """Everything about one round, which was found as `view`. `connect` reaches Temporal, or raises
    Unreachable; `ui` is the address of its web interface, for the link. Raises OSError,
    asyncpg.PostgresError or asyncpg.InterfaceError."""
    # The ledger last: whatever the history tells by then, the ledger has it.
    workflow = await _workflow(connect, view.key.workflow_id, ui)
    return Timeline(await record(pool, view.key, view), workflow)


async def _workflow(connect: Connect, workflow_id: str, ui: str | None) -> WorkflowStory:
    """What Temporal tells, or why it tells nothing: the ledger's part is worth showing without it."""
    try:
        async with asyncio.timeout(TEMPORAL_LIMIT_S):
            return await history.story(await connect(), workflow_id, ui=ui)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            why = "Temporal no longer has the workflow (its retention is over), or never had it"
        else:
            why = one_line(f"Temporal answers {error.status.name}: {error}")
    except Unreachable as problem:
        why = one_line(str(problem))
    except TimeoutError:
        why = f"Temporal did not answer within {TEMPORAL_LIMIT_S:g} s"
    return WorkflowStory(workflow_id=workflow_id, missing=why)
