"""A player's decision in a round that waits for it, and the ledger's verdict."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from contracts.choices import Chosen, OpenRound
from contracts.rounds import Bet, RoundState, StepTaken

ACTION_BY_PLAYER: Final = "player"
ACTION_BY_TIMER: Final = "timer"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerAction:
    """A decision of the player, or of the timer. `action_id` is the caller's and the key to repeats;
    `after` is set by the timer: how many actions the round must have had for this one to count."""

    action_id: str
    chosen: Chosen
    request_id: str
    by: str = ACTION_BY_PLAYER
    after: int | None = None


class ActionVerdict(StrEnum):
    """The ledger's verdict on an action. All but the first two changed nothing. Their names are the codes of
    problems, except `stale`."""

    TAKEN = "taken"
    REPLAYED = "replayed"
    """It was taken before, with the same content."""
    STALE = "stale"
    """The player was faster than the timer."""
    ID_REUSED = "id-reused"
    NOT_FOUND = "not-found"
    ROUND_CLOSED = "round-closed"
    WRONG_STATE = "wrong-state"
    UNKNOWN_CHOICE = "unknown-choice"
    INSUFFICIENT_FUNDS = "insufficient-funds"
    PLAYER_BLOCKED = "player-blocked"
    SESSION_EXPIRED = "session-expired"
    LIMIT_EXCEEDED = "limit-exceeded"
    CURRENCY_MISMATCH = "currency-mismatch"
    WALLET_FAILED = "wallet-failed"
    """The operator's wallet did not take what the action costs, and never will."""

    @property
    def counts(self) -> bool:
        """Returns whether the action is on record."""
        return self in (ActionVerdict.TAKEN, ActionVerdict.REPLAYED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActRequest:
    bet: Bet
    action: PlayerAction


@dataclass(frozen=True, slots=True, kw_only=True)
class ActResult:
    """An action's verdict and the round's state after it. `open` is set exactly when the round waits again,
    and `unconfirmed_event_id` is the event of its end that the broker has not confirmed yet. `steps` are what
    was taken for it, for the step's own record alone."""

    verdict: ActionVerdict
    state: RoundState
    open: OpenRound | None = None
    failure_code: str | None = None
    unconfirmed_event_id: str | None = None
    steps: list[StepTaken] = field(default_factory=list)
