"""Which worker runs which tests, when several share the machine. A plugin of pytest, by the hook that
pytest-xdist has for it.

A stack costs half a minute of processor time to start, so one worker keeps to tests that need none for as
long as there are any. Tests that start an expensive thing once for a folder stay together.
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


class ByNeed(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """File by file; of those that are left, a worker takes the first that needs what it has."""

    def _split_scope(self, nodeid: str) -> str:
        for folder in TOGETHER:
            if nodeid.startswith(folder):
                return folder
        return str(super()._split_scope(nodeid))

    def _assign_work_unit(self, node: WorkerController) -> None:
        wants_stack = node is not self.nodes[-1]
        for scope in self.workqueue:
            if scope.startswith(NEED_THE_STACK) is wants_stack:
                self.workqueue.move_to_end(scope, last=False)
                break
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByNeed:
    return ByNeed(config, log)
