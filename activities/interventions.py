"""The step that puts a manual intervention to the ledger."""

import asyncpg
from temporalio import activity

from contracts import steps
from contracts.interventions import InterveneRequest, InterventionResult
from storage import interventions


class InterventionActivities:
    """The round's workflow acts on an intervention by taking its step again, so that every round's end is
    delivered and counted in one place."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @activity.defn(name=steps.INTERVENE.name)
    async def intervene(self, request: InterveneRequest) -> InterventionResult:
        return await interventions.intervene(self._pool, request)
