"""A round's time on the durable path: each step that is an activity of its own is timed, and a local activity
is handed on as it came."""

from datetime import timedelta
from uuid import uuid4

from prometheus_client import REGISTRY
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import ActivityInboundInterceptor, UnsandboxedWorkflowRunner, Worker

from contracts import steps
from runtime import metrics
from tests.support.conditions import HANG_S
from workers.round_worker import DurableSteps

PATHS = (metrics.FAST, metrics.DURABLE)
LIMIT = timedelta(seconds=HANG_S)
chains: dict[str, ActivityInboundInterceptor] = {}


@activity.defn(name=steps.RESERVE.name)
async def reserve() -> None: ...


@activity.defn(name=steps.SETTLE.name)
async def settle() -> None: ...


@workflow.defn(name="StepTimes")
class StepTimes:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_local_activity(reserve, start_to_close_timeout=LIMIT)
        await workflow.execute_activity(settle, start_to_close_timeout=LIMIT)


class Seen(DurableSteps):
    """Keeps what each activity runs through."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        chain = super().intercept_activity(next)
        chains[activity.info().activity_type] = chain
        assert (chain is next) == activity.info().is_local
        return chain


def counted(step: str, path: str) -> float:
    return (
        REGISTRY.get_sample_value("croupier_step_duration_seconds_count", {"step": step, "path": path}) or 0.0
    )


async def test_a_step_that_is_an_activity_of_its_own_is_timed_and_a_local_one_costs_nothing(
    temporal: Client,
) -> None:
    queue = uuid4().hex
    before = {(step, path): counted(step, path) for step in ("reserve", "settle") for path in PATHS}
    async with Worker(
        temporal,
        task_queue=queue,
        workflows=[StepTimes],
        activities=[reserve, settle],
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[Seen()],
    ):
        await temporal.execute_workflow(StepTimes.run, id=queue, task_queue=queue)
    assert chains.keys() == {"reserve", "settle"}
    grown = {labels for labels, count in before.items() if counted(*labels) > count}
    assert grown == {("settle", metrics.DURABLE)}
