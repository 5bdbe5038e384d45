"""What Temporal says of a run's rounds: one workflow each, completed, and opaque to who reads it."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from verification.findings import Tally

FAST_EVENTS: Final = 6
FAST_TRANSITIONS: Final = 2
VISIBILITY_LIMIT_S: Final = 20.0
PAUSE_S: Final = 0.1
SAMPLES: Final = 5
# Names of fields that every round's payloads hold, and that only their encryption hides.
FIELD_NAMES: Final = (b"client_seed", b"server_seed", b"player_id", b"outcome", b"account_id")


@dataclass(slots=True)
class Histories:
    """`fast` counts rounds within the events and transitions of the fast path; durable ones take more."""

    seen: int = 0
    failed: int = 0
    fast: int = 0
    completed: Tally = field(
        default_factory=lambda: Tally(
            "I8", "workflows-completed", "each round has one workflow, and it completed"
        )
    )
    costs: Tally = field(
        default_factory=lambda: Tally(
            "cost", "fast-path-taken", "most rounds take at most 6 history events and 2 state transitions"
        )
    )
    secrecy: Tally = field(
        default_factory=lambda: Tally("I9", "histories-opaque", "histories show neither seeds nor players")
    )

    def tallies(self) -> tuple[Tally, ...]:
        return self.completed, self.costs, self.secrecy


async def examine(
    client: Client,
    operator_id: str,
    player_keys: Sequence[int],
    workflow_ids: Collection[str],
    plaintext: Collection[bytes],
) -> Histories:
    """Compares the workflows of these players with the ids of their rounds, and searches a few histories
    for `plaintext`. The players are of this run alone. Raises RPCError."""
    histories = Histories()
    prefixes = [f"{operator_id}:{player_key}:" for player_key in player_keys]
    await _until_visible(client, prefixes, len(workflow_ids))
    missing = set(workflow_ids)
    for prefix in prefixes:
        async for execution in client.list_workflows(_of(prefix), page_size=500):
            _examine_execution(histories, execution, missing)
    for workflow_id in missing:
        histories.completed.add(f"{workflow_id}: no workflow of a round in the ledger")
    if 2 * histories.fast < histories.seen:
        histories.costs.add(f"only {histories.fast} of {histories.seen} rounds took the fast path")
    for workflow_id in islice(workflow_ids, SAMPLES):
        await _search_history(client, workflow_id, plaintext, histories)
    return histories


async def _until_visible(client: Client, prefixes: Sequence[str], expected: int) -> None:
    """Workflows show up in listings a moment after they completed. Waits until as many as expected did, and
    not for ever: those that are missing then are findings."""
    deadline = asyncio.get_running_loop().time() + VISIBILITY_LIMIT_S
    while asyncio.get_running_loop().time() < deadline:
        counts = [await client.count_workflows(_of(prefix, completed=True)) for prefix in prefixes]
        if sum(count.count for count in counts) >= expected:
            return
        await asyncio.sleep(PAUSE_S)


def _of(prefix: str, *, completed: bool = False) -> str:
    query = f'WorkflowId STARTS_WITH "{prefix}"'
    return f'{query} AND ExecutionStatus = "Completed"' if completed else query


def _examine_execution(histories: Histories, execution: WorkflowExecution, missing: set[str]) -> None:
    histories.seen += 1
    if execution.status is not WorkflowExecutionStatus.COMPLETED:
        histories.failed += 1
        status = execution.status.name.lower() if execution.status else "in no known state"
        histories.completed.add(f"{execution.id} is {status}")
    elif execution.id not in missing:
        histories.completed.add(f"{execution.id} is of no round, or the second of its round")
    missing.discard(execution.id)
    # The service gives both in listings of closed workflows.
    cost = execution.raw_info.history_length, execution.raw_info.state_transition_count
    histories.fast += cost[0] <= FAST_EVENTS and cost[1] <= FAST_TRANSITIONS


async def _search_history(
    client: Client, workflow_id: str, plaintext: Collection[bytes], histories: Histories
) -> None:
    """Looks at the bytes as Temporal stores them: nothing is decoded on the way."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    stored = b"".join(event.SerializeToString() for event in history.events)
    for words in (*FIELD_NAMES, *plaintext):
        if words and words in stored:
            # The words themselves may be a secret, so they are not shown.
            what = words.decode() if words in FIELD_NAMES else "a seed or a player's id"
            histories.secrecy.add(f"{workflow_id}: {what} can be read in its history")
