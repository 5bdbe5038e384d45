"""One run of reconciliation: every check, page by page. What a check cannot do, the next run does."""

from typing import Final

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from contracts.failures import bounded
from contracts.reconciliation import RECONCILE_WORKFLOW, STEPS, Page, PageResult, Reconciled
from contracts.steps import Step
from workflows import policies
from workflows.steps import take

# The remaining pages wait for the next run, so that no history grows without end.
PAGES: Final = 500


@workflow.defn(name=RECONCILE_WORKFLOW)
class ReconcileWorkflow:
    """Guarantees that every check runs though another one fails: a wallet, a broker or a database that is
    away is named in the result, and the run completes."""

    @workflow.run
    async def run(self) -> Reconciled:
        total = Reconciled()
        for step in STEPS:
            total = await self._run_step(step, total)
        return total

    async def _run_step(self, step: Step[Page, PageResult], total: Reconciled) -> Reconciled:
        cursor: str | None = None
        for _ in range(PAGES):
            try:
                result = await take(step, Page(cursor=cursor), policies.RECONCILE)
            except ActivityError as failure:
                if is_cancelled_exception(failure):
                    raise
                return total.plus(PageResult(problems=(bounded(f"{step.name}: {failure.cause or failure}"),)))
            total, cursor = total.plus(result), result.cursor
            if cursor is None:
                break
        return total
