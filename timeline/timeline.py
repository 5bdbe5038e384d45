"""A round's time line: one model from the ledger, the wallet's attempts and the workflow's history."""

from dataclasses import dataclass
from typing import Any

from contracts.records import RoundRecord
from contracts.views import RoundView
from timeline.ledger import ledger_entries, unfinished
from timeline.model import RUNNING, Entry, WorkflowStory
from timeline.story import sentences
from timeline.wording import moment


@dataclass(frozen=True, slots=True)
class Timeline:
    """One round from all sources: what is stored of it, and what its workflow tells."""

    record: RoundRecord
    workflow: WorkflowStory

    def entries(self) -> list[Entry]:
        """Oldest first. At the same moment: the round's row, its hold, its transfers, its event."""
        rows = (*ledger_entries(self.record), *self.workflow.entries)
        return sorted(rows, key=lambda entry: entry.at)

    def now(self) -> list[str]:
        """What is not finished; empty for a round of which everything is done."""
        lines = [*unfinished(self.record), *self.workflow.now]
        status = self.workflow.status
        if not self.record.view.state.final and status not in (None, RUNNING):
            lines.append(f"nothing brings the round to its end: its workflow is {status}")
        return lines

    def story(self) -> list[str]:
        """What happened, in a few sentences."""
        return list(sentences(self.record, done=not self.now()))

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it. Amounts in minor units, times in RFC 3339, UTC."""
        workflow = self.workflow
        return {
            "round": round_facts(self.record.view),
            "workflow": {
                "id": workflow.workflow_id,
                "status": workflow.status,
                "events": workflow.events,
                "state_transitions": workflow.transitions,
                "url": workflow.link,
                "missing": workflow.missing,
            },
            "story": self.story(),
            "time_line": [entry.as_dict() for entry in self.entries()],
            "now": self.now(),
        }


def round_facts(view: RoundView) -> dict[str, Any]:
    """The round itself: no seed, not even sealed."""
    return {
        "round_id": view.key.round_id,
        "operator_id": view.key.operator_id,
        "player_id": view.player_id,
        "player_key": view.key.player_key,
        "account_id": view.account_id,
        "session_id": view.session_id,
        "request_id": view.request_id,
        "state": view.state.value,
        "game": {"id": view.game_id, "version": view.game_version},
        "mode": view.mode,
        "choice": view.choice,
        "outcome": view.outcome,
        "currency": view.currency,
        "stake": view.staked,
        "actions": view.taken or [],
        "win": view.win,
        "balance": view.balance,
        "sequence": view.sequence,
        "event_id": view.event_id,
        "failure": None
        if view.failure_code is None
        else {"code": view.failure_code, "detail": view.failure_detail},
        "fairness": {
            "seed_id": view.seed_id,
            "server_seed_hash": view.server_seed_hash,
            "client_seed": view.client_seed,
            "nonce": view.nonce,
        },
        "created_at": moment(view.created_at),
        "closed_at": None if view.closed_at is None else moment(view.closed_at),
    }
