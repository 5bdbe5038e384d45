"""What reconciliation looks for, page by page, and what it found."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from contracts.rounds import RoundKey
from contracts.steps import Step

RECONCILE_WORKFLOW: Final = "Reconcile"
RECONCILE_QUEUE: Final = "croupier-reconcile"
RECONCILE_SCHEDULE: Final = "croupier-reconcile"


class IncidentKind(StrEnum):
    """What can differ between the ledger, Temporal, the broker and operators' wallets."""

    WORKFLOW_LOST = "workflow-lost"
    """A round is open and nothing in Temporal brings it to its end."""
    WORKFLOW_FAILED = "workflow-failed"
    """A round's workflow gave up, which no round ever should."""
    STUCK = "stuck"
    """A round's workflow runs, and the round has been open for an hour."""
    EVENT_MISSING = "event-missing"
    """The statistics never got an event that the broker had confirmed."""
    WALLET_DIFFERS = "wallet-differs"
    """An operator's wallet and our ledger do not say the same about a transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where to go on; None for the beginning. What the cursor says is known to its step alone."""

    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What one page came to. `cursor` is None when it was the last. `problems` name what could not be
    looked at; the next run looks again."""

    cursor: str | None = None
    looked_at: int = 0
    opened: int = 0
    resolved: int = 0
    driven_on: int = 0
    emitted: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """The sums of a run."""

    looked_at: int = 0
    opened: int = 0
    resolved: int = 0
    driven_on: int = 0
    emitted: int = 0
    problems: tuple[str, ...] = ()

    def plus(self, looked: Looked) -> "Reconciled":
        return Reconciled(
            looked_at=self.looked_at + looked.looked_at,
            opened=self.opened + looked.opened,
            resolved=self.resolved + looked.resolved,
            driven_on=self.driven_on + looked.driven_on,
            emitted=self.emitted + looked.emitted,
            problems=self.problems + looked.problems,
        )


OPEN_ROUNDS: Final = Step("reconcile-open-rounds", Page, Looked)
UNANSWERED_BETS: Final = Step("reconcile-unanswered-bets", Page, Looked)
CLOSED_WORKFLOWS: Final = Step("reconcile-closed-workflows", Page, Looked)
EVENTS: Final = Step("reconcile-events", Page, Looked)
STATEMENTS: Final = Step("reconcile-statements", Page, Looked)
OPEN_INCIDENTS: Final = Step("reconcile-open-incidents", Page, Looked)
ANNOUNCE: Final = Step("reconcile-announce", Page, Looked)

# In this order: what was mended is seen to be mended, and what was found is told, in the same run.
STEPS: Final = (
    OPEN_ROUNDS,
    UNANSWERED_BETS,
    CLOSED_WORKFLOWS,
    EVENTS,
    STATEMENTS,
    OPEN_INCIDENTS,
    ANNOUNCE,
)


class WorkflowState(StrEnum):
    """What Temporal says of a round's latest workflow."""

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELED = "canceled"
    FAILED = "failed"
    TERMINATED = "terminated"
    TIMED_OUT = "timed-out"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An incident before it is one. `subject` names what differs: one incident of a kind is open for it at a
    time, however often it is found. `detail` is free of secrets."""

    kind: IncidentKind
    subject: str
    operator_id: str
    player_key: int | None = None
    round_id: str | None = None
    game_id: str | None = None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A finding on record. `acted_at` is when something was last done about it."""

    incident_id: str
    finding: Finding
    opened_at: datetime
    acted_at: datetime
    resolved_at: datetime | None


def round_key(workflow_id: str) -> RoundKey:
    """The round of a workflow. Raises ValueError for an id that is not a round's."""
    operator_id, player_key, round_id = workflow_id.rsplit(":", 2)
    return RoundKey(operator_id=operator_id, player_key=int(player_key), round_id=round_id)
