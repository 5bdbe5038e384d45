"""What a look at rounds gives: a page of them, what is stuck and why, what is open now."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from contracts.interventions import Action
from contracts.views import RoundView
from timeline.timeline import round_facts
from timeline.wording import moment


@dataclass(frozen=True, slots=True)
class RoundPage:
    """A part of a search, newest first. It goes on before the place `following`, unless that is None; a part
    may be short, or empty, and have more behind it. `reached` is the start of the oldest round that was
    looked at."""

    rounds: list[RoundView]
    following: int | None
    reached: datetime | None

    def items(self) -> list[dict[str, Any]]:
        """As JSON has them. Amounts in minor units, times in RFC 3339, UTC."""
        return [round_facts(view) for view in self.rounds]


class Kind(StrEnum):
    """What can be open beyond its limit, or away."""

    SERVICE = "service"
    """Temporal or the broker does not answer."""
    TRANSACTION = "transaction"
    """A transaction of the database server does not end."""
    RECONCILIATION = "reconciliation"
    """No reconciliation run has ended lately, or none is started."""
    QUEUE = "queue"
    """Dead letters, or messages that nobody consumes."""
    ROUND = "round"
    """A round holds its stake."""
    BET = "bet"
    """An operator's wallet was asked for a stake, and has not answered."""
    WORKFLOW = "workflow"
    """A bet that only its workflow knows: nothing is held for it."""
    EVENTS = "events"
    """The broker has not confirmed events."""
    WEBHOOK = "webhook"
    """Events do not get to an operator's endpoint."""
    INCIDENT = "incident"
    """Reconciliation found a difference that has not resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """One thing that does not go on. `why` and `waits_for` are sentences; `next` is a command or what a
    person does. `actions` are the manual interventions that the ledger would accept of a round."""

    kind: Kind
    subject: str
    why: str
    waits_for: str
    next: str
    since: datetime | None = None
    operator_id: str | None = None
    player_id: str | None = None
    round_id: str | None = None
    game_id: str | None = None
    actions: tuple[Action, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "kind": self.kind.value,
            "subject": self.subject,
            "operator_id": self.operator_id,
            "player_id": self.player_id,
            "round_id": self.round_id,
            "game_id": self.game_id,
            "since": None if self.since is None else moment(self.since),
            "why": self.why,
            "waits_for": self.waits_for,
            "actions": [action.value for action in self.actions],
            "next": self.next,
        }


@dataclass(frozen=True, slots=True)
class StuckReport:
    """What is stuck: services first, then the longest of each kind. `more` counts what the limit left out, by
    kind; `unasked` says what was not looked at, and why."""

    stuck: list[Stuck]
    more: Mapping[Kind, int]
    unasked: list[str]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "stuck": [one.as_dict() for one in self.stuck],
            "more": {kind.value: count for kind, count in self.more.items() if count},
            "unasked": self.unasked,
        }
