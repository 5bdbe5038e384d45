"""Counts what each check of reconciliation has found, by the results of its pages."""

from typing import Any, Final

from prometheus_client import Counter
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from contracts import reconciliation as steps
from contracts.reconciliation import PageResult
from runtime.metrics import at_zero

FINDINGS: Final = Counter(
    "croupier_reconciliation_findings_total",
    "What reconciliation's checks came to: subjects `looked_at`, incidents `opened` or `resolved`, rounds"
    " `restarted`, events `emitted` again; `problem` is what could not be checked.",
    ["check", "result"],
)
PREFIX: Final = "reconcile-"
CHECKS: Final = tuple(
    step.name.removeprefix(PREFIX)
    for step in (
        *(steps.OPEN_ROUNDS, steps.UNANSWERED_BETS, steps.CLOSED_WORKFLOWS, steps.EVENTS, steps.STATEMENTS),
        *(steps.OPEN_INCIDENTS, steps.ANNOUNCE),
    )
)
RESULTS: Final = ("looked_at", "opened", "resolved", "restarted", "emitted", "problem")


class CountedFindings(Interceptor):
    """Of reconciliation's worker."""

    def __init__(self) -> None:
        at_zero(FINDINGS, CHECKS, RESULTS)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Counted(next)


class _Counted(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        check = activity.info().activity_type.removeprefix(PREFIX)
        try:
            result = await super().execute_activity(input)
        except Exception:
            FINDINGS.labels(check, "problem").inc()
            raise
        if isinstance(result, PageResult):
            _count(check, result)
        return result


def _count(check: str, page: PageResult) -> None:
    counts = (page.looked_at, page.opened, page.resolved, page.driven_on, page.emitted, len(page.problems))
    for name, count in zip(RESULTS, counts, strict=True):
        FINDINGS.labels(check, name).inc(count)
