"""Manual interventions in a round that does not come to its end, and what the ledger made of them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contracts.rounds import Bet, RoundState
from contracts.views import RoundView

REASON_LIMIT: Final = 300  # characters
ACTOR_LIMIT: Final = 100


class Action(StrEnum):
    """What a person may decide."""

    RETRY_NOW = "retry-now"
    """The wallet is asked at once instead of after the pause."""
    PAID_OUTSIDE = "paid-outside"
    """The operator has paid the recorded win by other means: the round settles without the wallet."""
    REFUNDED_OUTSIDE = "refunded-outside"
    """The operator has given the stake back by other means: the round is void without the wallet."""
    VOID = "void"
    """The stake is released: the wallet is told so until it is certain. A wallet that has taken the win says
    so, and then the round settles: the first terminal stands."""


class InterventionVerdict(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    """The round's state does not allow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """`intervention_id` is a UUID and the idempotency key. `actor` says who decided: `key:` and the id of an
    operator's API key, or `cli:` and a name."""

    intervention_id: str
    action: Action
    reason: str
    actor: str

    def problem(self) -> str | None:
        """Why this is no intervention, in words; None when it is one."""
        if not self.reason.strip() or len(self.reason) > REASON_LIMIT or not self.reason.isprintable():
            return f"reason: 1 to {REASON_LIMIT} printable characters"
        if not self.actor.strip() or len(self.actor) > ACTOR_LIMIT or not self.actor.isprintable():
            return f"actor: 1 to {ACTOR_LIMIT} printable characters"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class InterveneRequest:
    bet: Bet
    intervention: Intervention


@dataclass(frozen=True, slots=True, kw_only=True)
class InterventionResult:
    """What the ledger decided and how the round stands now. `state` is None while an operator's wallet has
    not answered for the stake, and `releasing` says that an open round is on its way to void."""

    verdict: InterventionVerdict
    state: RoundState | None
    releasing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A round that somebody wants to decide about. `view` is None while an operator's wallet has not answered
    for the stake, so that there is no row of the round."""

    bet: Bet
    view: RoundView | None
