"""The SDK takes a workflow that has not yielded for two seconds, by the wall clock, for deadlocked, and fails
its task. A busy machine stands still for longer, and the SDK has no setting for it but its debug mode.
"""

from typing import Any

from temporalio.worker import _workflow

from tests.support.conditions import HANG_S


def only_hangs_are_deadlocks() -> None:
    """For every worker and replayer that this process makes from now on."""
    begin = _workflow._WorkflowWorker.__init__

    def patiently(worker: Any, **options: Any) -> None:
        begin(worker, **options)
        worker._deadlock_timeout_seconds = int(HANG_S)

    _workflow._WorkflowWorker.__init__ = patiently  # type: ignore[method-assign,assignment]
