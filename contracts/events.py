"""Events: recorded ones on their way to the broker, and the result of a game client's report."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """One outbox row. The envelope that consumers see is made from these fields alone, so however often
    and from whichever process an event is sent, its bytes are the same."""

    event_id: str  # stable for the fact; the broker's message_id and the consumer's inbox key
    type: str  # "round.settled", "round.void", ... as api.md lists them
    operator_id: str
    game_id: str
    subject: str  # the round's or the player's id
    sequence: int | None  # the player's, without gaps; None for an event that is not about a player's money
    occurred_at: str  # RFC 3339, UTC
    data: str  # a JSON object, as stored


class ReportVerdict(StrEnum):
    """The result of a game client's report of events."""

    RECORDED = "recorded"
    REUSED = "reused"  # an id that was reported with other contents
    TOO_MANY = "too-many"
    UNKNOWN = "unknown"  # there is no such session


@dataclass(frozen=True, slots=True)
class ReportResult:
    """`event_id` is the one that was reported before, when the verdict is REUSED."""

    verdict: ReportVerdict
    event_id: str | None = None
