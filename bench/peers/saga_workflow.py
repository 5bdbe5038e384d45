"""The textbook saga's workflow, in a module of its own: the sandbox loads it again for every workflow."""

from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from bench.peers.saga_activities import Release, Resolve, SagaActivities, Settle
    from bench.peers.steps import Closed
    from contracts.rounds import Bet

STEP_LIMIT: Final = timedelta(seconds=10)


@workflow.defn
class SagaRound:
    @workflow.run
    async def run(self, bet: Bet) -> Closed:
        held = await workflow.execute_activity_method(
            SagaActivities.reserve, bet, start_to_close_timeout=STEP_LIMIT
        )
        if held.draw is None:
            assert held.closed is not None
            return held.closed
        try:
            resolution = await workflow.execute_activity_method(
                SagaActivities.resolve, Resolve(bet, held.draw), start_to_close_timeout=STEP_LIMIT
            )
        except ActivityError as failure:
            closed = await workflow.execute_activity_method(
                SagaActivities.release, Release(bet, str(failure.cause)), start_to_close_timeout=STEP_LIMIT
            )
        else:
            closed = await workflow.execute_activity_method(
                SagaActivities.settle, Settle(bet, resolution), start_to_close_timeout=STEP_LIMIT
            )
        if closed.event_id is not None:
            await workflow.execute_activity_method(
                SagaActivities.emit, closed.event_id, start_to_close_timeout=STEP_LIMIT
            )
        return closed
