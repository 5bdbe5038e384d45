"""Seeds as a session's player sees them, and the verdict on a request to rotate them."""

from dataclasses import dataclass
from enum import StrEnum


class RotationVerdict(StrEnum):
    """The verdict on a rotation; `storage/functions/35_seeds.sql` says when each is answered."""

    ROTATED = "rotated"
    REPLAYED = "replayed"
    ROUND_OPEN = "round-open"
    REUSED = "reused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """The public part of the seed that the session's next round draws from."""

    server_seed_hash: str
    client_seed: str
    next_nonce: int
