"""Manual interventions in a round, whether Temporal still has the round's workflow or not."""

from collections.abc import Sequence
from uuid import uuid4

from contracts.interventions import Action, InterveneRequest, Intervention, InterventionResult, Subject
from runtime.round_workflows import RoundWorkflows
from storage import interventions
from storage.database import Database


class Interventions:
    """Finds the round that is meant, and puts the decision to its workflow."""

    def __init__(self, workflows: RoundWorkflows, database: Database) -> None:
        self._workflows = workflows
        self._pool = database.pool

    async def find(
        self, round_id: str, *, operator_id: str | None, player_id: str | None, limit: int = 2
    ) -> Sequence[Subject]:
        """At most `limit` rounds of this id; of every operator and player that is not named."""
        return await interventions.find(
            self._pool, round_id, operator_id=operator_id, player_id=player_id, limit=limit
        )

    async def decide(
        self, subject: Subject, *, action: Action, reason: str, actor: str
    ) -> InterventionResult:
        """What the ledger decided. Raises ValueError for a reason or an actor that is none, and
        OutcomeUncertain."""
        intervention = Intervention(intervention_id=str(uuid4()), action=action, reason=reason, actor=actor)
        if problem := intervention.problem():
            raise ValueError(problem)
        if subject.view is not None and subject.view.state.final:
            # The ledger refuses, and keeps that; there is nothing that a workflow could do.
            request = InterveneRequest(bet=subject.bet, intervention=intervention)
            return await interventions.intervene(self._pool, request)
        return await self._workflows.intervene(subject.bet, intervention)
