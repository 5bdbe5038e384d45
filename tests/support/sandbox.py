"""The SDK's sandbox for workflows, which production leaves out: it catches what is not deterministic."""

from dataclasses import dataclass, field
from typing import Any

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner


@dataclass(frozen=True)
class Sandbox(SandboxedWorkflowRunner):
    """Sees once for each workflow that it loads. The SDK sees it anew for each worker and each replayer, and
    then loads the workflow once more for each run, which is most of what the sandbox costs: every run still
    has a load of its own, and a workflow that does not load is never taken for one that does."""

    _loaded: set[type] = field(default_factory=set, init=False, compare=False)

    def prepare_workflow(self, defn: Any) -> None:
        if defn.cls not in self._loaded:
            super().prepare_workflow(defn)
            self._loaded.add(defn.cls)
