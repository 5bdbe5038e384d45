"""Manual interventions in a round that does not come to its end, and the ledger's verdict."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contracts.actors import ACTOR_LIMIT
from contracts.rounds import Bet, RoundState
from contracts.texts import is_one_line
from contracts.views import RoundView

REASON_LIMIT: Final = 300  # characters


class Action(StrEnum):
    """The kinds of manual intervention."""

    RETRY_NOW = "retry-now"
    """The wallet is asked at once instead of after the pause."""
    PAID_OUTSIDE = "paid-outside"
    """The operator has paid the recorded win by other means: the round settles without the wallet."""
    REFUNDED_OUTSIDE = "refunded-outside"
    """The operator has refunded the stake by other means: the round is void without the wallet."""
    VOID = "void"
    """The stake is released: the rollback is sent to the wallet until it is certain. When the wallet answers
    that it has taken the win, the round settles: the first terminal stands."""


def allowed(state: RoundState | None, *, at_wallet: bool, releasing: bool) -> tuple[Action, ...]:
    """What the ledger would accept of a round in this state, as `intervene_round_v1` decides. `state` is None
    while an operator's wallet has not answered for the stake; `at_wallet` says whether one was asked at all,
    and `releasing` that the open round is on its way to void."""
    if state is not None and state.final:
        return ()
    settling = state is RoundState.SETTLING
    found = [Action.RETRY_NOW, Action.VOID]
    if at_wallet and settling and not releasing:
        found.append(Action.PAID_OUTSIDE)
    if at_wallet and (settling or releasing):
        found.append(Action.REFUNDED_OUTSIDE)
    return tuple(found)


class InterventionVerdict(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    """The round's state does not allow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """`intervention_id` is a UUID and the idempotency key. `actor` says who decided: `key:` and the id of an
    operator's API key, `oidc:` and an issuer's id of a person, or `cli:` and a name."""

    intervention_id: str
    action: Action
    reason: str
    actor: str

    def problem(self) -> str | None:
        """Why this intervention is invalid, in words; None when it is valid."""
        if len(self.reason) > REASON_LIMIT or not is_one_line(self.reason):
            return f"reason: 1 to {REASON_LIMIT} printable characters"
        if len(self.actor) > ACTOR_LIMIT or not is_one_line(self.actor):
            return f"actor: 1 to {ACTOR_LIMIT} printable characters"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class InterveneRequest:
    bet: Bet
    intervention: Intervention


@dataclass(frozen=True, slots=True, kw_only=True)
class InterventionResult:
    """The ledger's verdict and the round's state after it. `state` is None while an operator's wallet has not
    answered for the stake, and `releasing` says that an open round is being released."""

    verdict: InterventionVerdict
    state: RoundState | None
    releasing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The round of an intervention. `view` is None while an operator's wallet has not answered
    for the stake, so that there is no row of the round."""

    bet: Bet
    view: RoundView | None
