"""A player's money outside of rounds: withdrawals and statements."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalView:
    """`result` is withdrawn, replayed (an honest repeat), reused (the id belongs to another movement of the
    player) or insufficient-funds (nothing moved, nothing is recorded). `available` is in minor units: right
    after the withdrawal, or now when there was none."""

    result: str
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementFilter:
    """A filter of a player's entries, from `since` and before `until`; None does not filter."""

    player_key: int
    currency: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementEntry:
    """One posting on a player's account. `amount` is in minor units, negative when it left the player;
    `balance` is what was available right after it. `position` is the transfer's in the player's chain, and
    `reference` the round's id or the operator's transaction id."""

    position: int
    kind: str
    reference: str
    amount: int
    currency: str
    balance: int
    created_at: datetime
