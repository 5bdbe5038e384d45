"""Putting a person's decision to a round, whether Temporal still has the round's workflow or not."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import uuid4

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from contracts.failures import bounded
from contracts.interventions import Action, InterveneRequest, Intervention, InterventionResult, Subject
from contracts.rounds import RoundClosed
from contracts.steps import INTERVENE_UPDATE, ROUND_TASK_TIMEOUT, ROUND_WORKFLOW
from storage import interventions
from storage.database import Database

# A round's one go may hold an update back for 2 s; then a busy database has some time to answer.
ANSWER_LIMIT: Final = timedelta(seconds=10)


class InterventionUncertain(Exception):
    """Temporal, a worker or the ledger did not say in time whether it was decided: it may still happen, and
    the round's record tells."""


class Interventions:
    """Finds the round that is meant, and puts the decision to its workflow. A workflow that is lost is begun
    anew with the same bet, for every step of it answers from what is stored: so a decision also drives on a
    round that Temporal has forgotten."""

    def __init__(self, client: Client, database: Database, *, task_queue: str) -> None:
        self._client = client
        self._pool = database.pool
        self._task_queue = task_queue

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
        InterventionUncertain."""
        intervention = Intervention(intervention_id=str(uuid4()), action=action, reason=reason, actor=actor)
        if problem := intervention.problem():
            raise ValueError(problem)
        if subject.view is not None and subject.view.state.final:
            # The ledger refuses, and keeps that; there is nothing that a workflow could do.
            request = InterveneRequest(bet=subject.bet, intervention=intervention)
            return await interventions.intervene(self._pool, request)
        return await self._put_to_workflow(subject, intervention)

    async def _put_to_workflow(self, subject: Subject, intervention: Intervention) -> InterventionResult:
        start: WithStartWorkflowOperation[object, RoundClosed] = WithStartWorkflowOperation(
            ROUND_WORKFLOW,
            subject.bet,
            id=subject.bet.key.workflow_id,
            task_queue=self._task_queue,
            result_type=RoundClosed,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            task_timeout=ROUND_TASK_TIMEOUT,
        )
        try:
            intervened: InterventionResult = await self._client.execute_update_with_start_workflow(
                INTERVENE_UPDATE,
                intervention,
                start_workflow_operation=start,
                id=intervention.intervention_id,
                result_type=InterventionResult,
                rpc_timeout=ANSWER_LIMIT,
            )
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            raise InterventionUncertain(bounded(str(error))) from None
        except WorkflowUpdateFailedError as failed:
            raise InterventionUncertain(bounded(str(failed.cause))) from None
        return intervened
