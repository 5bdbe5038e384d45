"""The rows of a round's time line, and what its workflow adds to them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from timeline.wording import moment

RUNNING: Final = "running"  # a workflow's status while it has something left to do


class Source(StrEnum):
    """Where a row comes from."""

    ROUND = "round"
    LEDGER = "ledger"
    WALLET = "wallet"
    PERSON = "person"
    WORKFLOW = "workflow"
    STEP = "step"
    EVENT = "event"
    STATISTICS = "statistics"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `at` is by the clock of whoever wrote it: the database, Temporal or the worker."""

    at: datetime
    source: Source
    what: str

    def as_dict(self) -> dict[str, str]:
        return {"at": moment(self.at), "source": self.source.value, "what": self.what}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStory:
    """What Temporal tells of the round. `missing` says why it tells nothing; `now` what it waits for."""

    workflow_id: str
    link: str | None = None
    status: str | None = None
    events: int = 0
    transitions: int = 0
    entries: tuple[Entry, ...] = ()
    now: tuple[str, ...] = ()
    missing: str | None = None
