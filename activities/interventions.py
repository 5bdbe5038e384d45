"""The step that puts a manual intervention to the ledger."""

import asyncpg
from temporalio import activity

from contracts import steps
from contracts.interventions import InterveneRequest, InterventionResult
from storage import interventions


class InterventionActivities:
    """What the round does with it is left to its workflow, which takes its step again: so the end of a round
    is delivered and counted where it always is."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @activity.defn(name=steps.INTERVENE.name)
    async def intervene(self, request: InterveneRequest) -> InterventionResult:
        return await interventions.intervene(self._pool, request)
