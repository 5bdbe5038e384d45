"""Reconciliation's steps, each of which checks page by page, and its findings."""

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
    LOST_ROUND = "lost-round"
    """The ledger was restored to a moment before the round, or before it went on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where a step goes on; None for the beginning. Only the step itself reads its cursor."""

    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageResult:
    """The result of one page. `cursor` is None after the last. `problems` name what could not be checked;
    the next run checks it again."""

    cursor: str | None = None
    looked_at: int = 0
    opened: int = 0
    resolved: int = 0
    driven_on: int = 0
    emitted: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """The sums of one run. The fields' names are in histories."""

    looked_at: int = 0
    opened: int = 0
    resolved: int = 0
    driven_on: int = 0
    emitted: int = 0
    problems: tuple[str, ...] = ()

    def plus(self, page: PageResult) -> "Reconciled":
        return Reconciled(
            looked_at=self.looked_at + page.looked_at,
            opened=self.opened + page.opened,
            resolved=self.resolved + page.resolved,
            driven_on=self.driven_on + page.driven_on,
            emitted=self.emitted + page.emitted,
            problems=self.problems + page.problems,
        )


OPEN_ROUNDS: Final = Step("reconcile-open-rounds", Page, PageResult)
UNANSWERED_BETS: Final = Step("reconcile-unanswered-bets", Page, PageResult)
CLOSED_WORKFLOWS: Final = Step("reconcile-closed-workflows", Page, PageResult)
EVENTS: Final = Step("reconcile-events", Page, PageResult)
STATEMENTS: Final = Step("reconcile-statements", Page, PageResult)
OPEN_INCIDENTS: Final = Step("reconcile-open-incidents", Page, PageResult)
ANNOUNCE: Final = Step("reconcile-announce", Page, PageResult)

# In this order, so that one run also resolves what it repaired and publishes what it found.
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
    """The state of a round's latest workflow in Temporal."""

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELED = "canceled"
    FAILED = "failed"
    TERMINATED = "terminated"
    TIMED_OUT = "timed-out"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A difference that was found. `subject` names what differs: one incident of a kind is open for it at a
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
    """A finding on record. `acted_at` is the time of the latest repair."""

    incident_id: str
    finding: Finding
    opened_at: datetime
    acted_at: datetime
    resolved_at: datetime | None


def round_key(workflow_id: str) -> RoundKey:
    """The round of a workflow. Raises ValueError for an id that is not a round's."""
    operator_id, player_key, round_id = workflow_id.rsplit(":", 2)
    return RoundKey(operator_id=operator_id, player_key=int(player_key), round_id=round_id)
