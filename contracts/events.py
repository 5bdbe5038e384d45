"""A business event between the transaction that records it and the broker that carries it."""

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
    sequence: int | None  # the player's, without gaps; None for what is no fact about a player's money
    occurred_at: str  # RFC 3339, UTC
    data: str  # a JSON object, as stored


class TellVerdict(StrEnum):
    """What became of a game client's call that told events."""

    RECORDED = "recorded"
    REUSED = "reused"  # an id that was told with other contents
    TOO_MANY = "too-many"
    UNKNOWN = "unknown"  # there is no such session


@dataclass(frozen=True, slots=True)
class Told:
    """`event_id` is the one that was told before, when the verdict is REUSED."""

    verdict: TellVerdict
    event_id: str | None = None
