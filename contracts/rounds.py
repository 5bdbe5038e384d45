"""The round as it crosses process boundaries: the bet, each step's request and result, the states."""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Final

from contracts.choices import Chosen, Offer, OpenRound


class RoundState(StrEnum):
    """The states of a round as api.md names them; the last three are final."""

    PENDING = "pending"
    AWAITING_CHOICE = "awaiting_choice"
    SETTLING = "settling"
    SETTLED = "settled"
    DECLINED = "declined"
    VOID = "void"

    @property
    def final(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES = frozenset({RoundState.SETTLED, RoundState.DECLINED, RoundState.VOID})


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundKey:
    """Names one round for ever: a round id is its player's own, so two players may use the same one."""

    operator_id: str
    player_key: int
    round_id: str

    @property
    def workflow_id(self) -> str:
        """Workflow ids are never encrypted, so the player stands here by our own key. The round id is the
        caller's: api.md asks for opaque ones."""
        return f"{self.operator_id}:{self.player_key}:{self.round_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bet:
    """The only argument of RoundWorkflow. `stake` is in minor units of `currency`."""

    key: RoundKey
    player_id: str
    account_id: int
    session_id: str
    game_id: str
    game_version: str
    currency: str
    stake: int
    mode: str  # the game's bet mode ("base" unless the game offers others)
    choice: dict[str, Any] | None
    request_id: str  # of the request that started the round: distinguishes a first answer from a repeat
    demo: bool = False  # from a demo balance: no wallet hears of it, and no report counts it
    jurisdiction: str | None = None  # the profile whose rules the round is played by
    version: int = 1  # of the workflow that takes it (contracts/steps.py); no part of the bet that is stored


# What the ledger stores of a bet, by its name.
STORED_OF_BET: Final = tuple(field.name for field in fields(Bet) if field.name != "version")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawReference:
    """Where a round's randomness comes from. The server seed is sealed: it opens only in `resolve`."""

    seed_id: str
    sealed_server_seed: str
    client_seed: str
    nonce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The result of `reserve`: a held stake, a refusal, or a round that already reached its end.
    `actions` were taken before; `open` is set exactly when the round waits for its player."""

    state: RoundState
    draw: DrawReference | None = None  # set exactly when the state is not final
    failure_code: str | None = None
    event_id: str | None = None  # of a round that was already final
    request_id: str | None = None  # of the request that made the round
    actions: list[Chosen] = field(default_factory=list)
    open: OpenRound | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveRequest:
    """`actions` are all that were taken, in their order."""

    bet: Bet
    draw: DrawReference
    actions: list[Chosen] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """A game's step after `actions` of them: the outcome to show and the win in minor units. With an `offer`
    the round goes on, and the win is not paid yet."""

    outcome: dict[str, Any]
    win: int
    offer: Offer | None = None
    actions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """A step that leaves the round open, to be recorded."""

    bet: Bet
    resolution: Resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenResult:
    """The round's state after the step: it waits, or had ended before."""

    open: OpenRound | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleRequest:
    """`resolution` is None for a round that is `settling`: its result is on record already."""

    bet: Bet
    resolution: Resolution | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    bet: Bet
    failure_code: str
    failure_detail: str  # bounded, free of secrets; for the person who reads the history


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """How the ledger closed the round. The first terminal wins, so a settle may answer `void` and a release
    `settled`. A release may answer `settling` too: the result was recorded first, so the round goes on to be
    settled, unless a manual intervention releases it."""

    state: RoundState
    event_id: str | None
    failure_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTaken:
    """A step that the fast path took: when it began by the worker's clock (RFC 3339, UTC), how long it took,
    and what it did, in words for whoever reads the history."""

    step: str
    at: str
    took_us: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayResult:
    """How far a round came on the fast path: to its end in the ledger, and if all went well to the confirmed
    event. `steps` are those that were taken, in their order. Histories of earlier releases have `took_us`
    instead, microseconds by step; a program of theirs needs it to be there."""

    state: RoundState
    # Web interfaces show a marker's first lines: the steps are what a reader looks for.
    steps: list[StepTaken] = field(default_factory=list)
    failure_code: str | None = None
    request_id: str | None = None  # of the request that made the round
    unconfirmed_event_id: str | None = None  # the event that the broker has yet to confirm
    open: OpenRound | None = None  # set exactly when the round waits for its player
    took_us: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitRequest:
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundClosed:
    """The workflow's result."""

    state: RoundState
    failure_code: str | None = None
    request_id: str | None = None
