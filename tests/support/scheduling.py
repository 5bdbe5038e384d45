"""Which worker runs which tests, when several share the machine. A plugin of pytest, by the hook that
pytest-xdist has for it.

A stack costs half a minute of processor time to start, so one worker keeps to tests that need none for as
long as there are any. Tests that start an expensive thing once for a folder stay together. What takes long
begins first: at the end of a run one worker would be busy with it alone.
"""

from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

NEED_THE_STACK: Final = ("tests/browser/", "tests/e2e/", "tests/integration/")
# Their tests share what is dear to start and is started once for the folder: a stack, an ingress, a wallet, a
# database. tests/e2e/certification/ does too, but is so long that a wallet for each worker costs less.
TOGETHER: Final = (
    "tests/browser/",
    "tests/drill/",
    "tests/faults/",
    "tests/e2e/websocket/",
    "tests/integration/interventions/",
    "tests/integration/operator_wallet/",
    "tests/integration/reconciliation/",
    "tests/integration/wallet/ledger/",
    "tests/upgrade/",
)
# The longest first: each takes a minute or more, some of them with hardly any work for the processor.
LONG: Final = (
    "tests/browser/",
    "tests/workflow/test_steps_that_are_slow.py",
    "tests/upgrade/",
    "tests/drill/",
    "tests/integration/wallet/test_operator_rounds.py",
    "tests/faults/",
    "tests/integration/test_certify.py",
    "tests/workflow/test_cancellation.py",
)


class ByNeed(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """File by file: a worker takes the longest that needs what it has, else the first that does, else any."""

    def _split_scope(self, nodeid: str) -> str:
        for folder in TOGETHER:
            if nodeid.startswith(folder):
                return folder
        return str(super()._split_scope(nodeid))

    def _assign_work_unit(self, node: WorkerController) -> None:
        wants_stack = node is not self.nodes[-1]
        fitting = [scope for scope in self.workqueue if scope.startswith(NEED_THE_STACK) is wants_stack]
        self.workqueue.move_to_end(min(fitting or self.workqueue, key=_place), last=False)
        super()._assign_work_unit(node)


def _place(scope: str) -> int:
    """Where it stands in the line; those of the same place keep their order."""
    return next((place for place, long in enumerate(LONG) if scope.startswith(long)), len(LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByNeed:
    return ByNeed(config, log)
