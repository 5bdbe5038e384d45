"""What rounds cost: CPU by family of processes, and what Temporal keeps of a round."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import psutil
from temporalio.client import Client, WorkflowExecutionStatus

PROGRAM: Final = "program"  # the variant's own: ingress and worker
LOAD: Final = "load"
FAMILIES: Final = (PROGRAM, "temporal", "postgres", "rabbitmq", "restate", "background", LOAD)
# The Restate server may be a child of the peer that uses it; it is recognised by its name.
SERVERS_BY_NAME: Final = {"restate-server": "restate"}
VISIBLE_WITHIN_S: Final = 4.0
PAUSE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Structure:
    """What Temporal recorded for one round."""

    history_events: int
    state_transitions: int


class Meter:
    """Reads the CPU seconds that each family has used so far. `roots` are the processes whose descendants
    count too.
    """

    def __init__(self, roots: Mapping[str, Iterable[int]]) -> None:
        self._roots = {family: tuple(pids) for family, pids in roots.items()}

    def read(self) -> dict[str, float]:
        """CPU seconds (user and system) by family. What a process that ended has used counts through the
        parent that waited for it.
        """
        used: dict[str, float] = {}
        for family, pids in self._roots.items():
            for process in _trees(pids):
                try:
                    times, name = process.cpu_times(), process.name()
                except psutil.Error:
                    continue
                here = SERVERS_BY_NAME.get(name, family)
                total = times.user + times.system + times.children_user + times.children_system
                used[here] = used.get(here, 0.0) + total
        return used


def _trees(pids: Iterable[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in pids:
        try:
            root = psutil.Process(pid)
            found += [root, *root.children(recursive=True)]
        except psutil.Error:
            continue
    return found


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds between two readings; never negative."""
    return {family: max(after[family] - before.get(family, 0.0), 0.0) for family in after}


def for_each(cpu_s: Mapping[str, float], rounds: int) -> dict[str, float]:
    """CPU seconds for each round, by family."""
    return {family: seconds / rounds for family, seconds in cpu_s.items()} if rounds else {}


async def structure_since(temporal: Client, since: datetime) -> Structure | None:
    """What one round that was played since then left in Temporal; None when Temporal ran none of them."""
    query = f"StartTime >= '{since.astimezone(UTC).isoformat().replace('+00:00', 'Z')}'"
    query += " AND ExecutionStatus = 'Completed'"
    loop = asyncio.get_running_loop()
    deadline = loop.time() + VISIBLE_WITHIN_S
    while loop.time() < deadline:
        async for found in temporal.list_workflows(query, limit=1):
            described = await temporal.get_workflow_handle(found.id, run_id=found.run_id).describe()
            if described.status is WorkflowExecutionStatus.COMPLETED:
                info = described.raw_description.workflow_execution_info
                return Structure(info.history_length, info.state_transition_count)
        await asyncio.sleep(PAUSE_S)
    return None
