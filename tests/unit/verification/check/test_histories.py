"""The workflows of a run, as a Temporal that a test made up shows them."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus

from verification.check import histories
from verification.check.histories import Histories

COMPLETED, FAILED = WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.FAILED


class FakeTemporal:
    """Lists these (id, status, events, transitions); every history has these bytes."""

    def __init__(self, *listed: tuple[str, WorkflowExecutionStatus, int, int], stored: bytes = b"") -> None:
        self._listed = listed
        self._stored = stored

    async def count_workflows(self, _query: str) -> Any:
        return SimpleNamespace(count=sum(status is COMPLETED for _, status, _, _ in self._listed))

    async def list_workflows(self, _query: str, **_: object) -> AsyncIterator[Any]:
        for workflow_id, status, events, transitions in self._listed:
            raw = SimpleNamespace(history_length=events, state_transition_count=transitions)
            yield SimpleNamespace(id=workflow_id, status=status, raw_info=raw)

    def get_workflow_handle(self, _workflow_id: str) -> Any:
        return self

    async def fetch_history(self) -> Any:
        return SimpleNamespace(events=[SimpleNamespace(SerializeToString=lambda: self._stored)])


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "VISIBILITY_LIMIT_S", 0.05)
    monkeypatch.setattr(histories, "PAUSE_S", 0.01)


async def examined(temporal: Any) -> tuple[Histories, list[str]]:
    found = await histories.examine(temporal, "demo", [7], {"demo:7:a", "demo:7:b"}, {b"the seed"})
    return found, [tally.name for tally in found.tallies() if tally.count]


async def test_completed_fast_and_opaque_workflows_are_in_order() -> None:
    temporal = FakeTemporal(("demo:7:a", COMPLETED, 6, 2), ("demo:7:b", COMPLETED, 6, 2))
    found, broken = await examined(temporal)
    assert broken == []
    assert (found.seen, found.failed, found.fast) == (2, 0, 2)


@pytest.mark.parametrize(
    "listed",
    [
        (("demo:7:a", COMPLETED, 6, 2),),
        (("demo:7:a", COMPLETED, 6, 2), ("demo:7:b", FAILED, 6, 2)),
        (("demo:7:a", COMPLETED, 6, 2), ("demo:7:b", COMPLETED, 6, 2), ("demo:7:c", COMPLETED, 6, 2)),
        (("demo:7:a", COMPLETED, 6, 2), ("demo:7:b", COMPLETED, 6, 2), ("demo:7:b", COMPLETED, 6, 2)),
    ],
    ids=["missing", "failed", "of no round", "twice"],
)
async def test_a_round_without_exactly_one_completed_workflow_is_named(listed: Any) -> None:
    _, broken = await examined(FakeTemporal(*listed))
    assert broken == ["workflows-completed"]


async def test_one_patient_round_is_in_order_and_many_are_not() -> None:
    one = FakeTemporal(("demo:7:a", COMPLETED, 6, 2), ("demo:7:b", COMPLETED, 15, 4))
    assert (await examined(one))[1] == []
    both = FakeTemporal(("demo:7:a", COMPLETED, 15, 4), ("demo:7:b", COMPLETED, 15, 4))
    assert (await examined(both))[1] == ["fast-path-taken"]


@pytest.mark.parametrize("stored", [b"..the seed..", b'{"client_seed":'], ids=["a secret", "a field's name"])
async def test_a_readable_history_is_named_and_the_secret_not_repeated(stored: bytes) -> None:
    temporal = FakeTemporal(("demo:7:a", COMPLETED, 6, 2), ("demo:7:b", COMPLETED, 6, 2), stored=stored)
    found, broken = await examined(temporal)
    assert broken == ["histories-opaque"]
    assert "the seed" not in " ".join(found.secrecy.examples)
