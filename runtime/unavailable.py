"""Why something cannot be answered now: the causes of 503, each with its words and its label for the SRE."""

from enum import StrEnum
from typing import Final

from prometheus_client import Counter

UNAVAILABLE: Final = Counter(
    "croupier_unavailable_total",
    "Calls without an answer, by cause: `busy`, `temporal`, `ledger`, `key`, `game`, `unanswered`, `lost`.",
    ["cause"],
)


class Cause(StrEnum):
    """A cause is counted when its answer is made. Its words name no product."""

    BUSY = "busy"
    """More came than is admitted at once, here or at Temporal."""
    TEMPORAL = "temporal"
    """Temporal does not answer."""
    LEDGER = "ledger"
    """PostgreSQL does not answer."""
    KEY = "key"
    """Something is sealed with a key that this process does not have, or was changed."""
    GAME = "game"
    """More came for one game than its processes play at once."""
    UNANSWERED = "unanswered"
    """Nobody answered in time, and it may happen yet."""
    LOST = "lost"
    """The round's workflow has ended before anything was recorded. Reconciliation restarts it."""


WORDS: Final = {
    Cause.BUSY: "Too busy right now.",
    Cause.TEMPORAL: "The service that brings rounds to their ends does not answer.",
    Cause.LEDGER: "The ledger does not answer.",
    Cause.KEY: "A key is missing here, without which this cannot be read.",
    Cause.GAME: "This game is slow right now.",
    Cause.UNANSWERED: "Nobody answered in time, and it may happen yet.",
    Cause.LOST: "The round was interrupted before it was recorded, and will be taken up again.",
}
