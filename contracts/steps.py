"""The steps of a round by name, with their requests and results: the seam of workflows and activities."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, TypeVar

from contracts.actions import ActRequest, ActResult
from contracts.interventions import InterveneRequest, InterventionResult
from contracts.rounds import (
    Bet,
    EmitRequest,
    OpenRequest,
    OpenResult,
    PlayResult,
    ReleaseRequest,
    Reservation,
    Resolution,
    ResolveRequest,
    SettleRequest,
    Terminal,
)

Request = TypeVar("Request")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Step(Generic[Request, Result]):
    """A step's name, as histories show it, and the types of its one argument and its result."""

    name: str
    request_type: type[Request]
    result_type: type[Result]


RESERVE: Final = Step("reserve", Bet, Reservation)
RESOLVE: Final = Step("resolve", ResolveRequest, Resolution)
SETTLE: Final = Step("settle", SettleRequest, Terminal)
RELEASE: Final = Step("release", ReleaseRequest, Terminal)
EMIT: Final = Step("emit", EmitRequest, bool)
# Records that a round waits for its player.
OPEN: Final = Step("open", OpenRequest, OpenResult)
# Takes a player's action and plays on: to the round's end, or to its next offer.
ACT: Final = Step("act", ActRequest, ActResult)
# The fast path: reserve, resolve, settle and emit in one local activity.
PLAY: Final = Step("play", Bet, PlayResult)
# The same under a name that says what it takes, for bets of NAMED_STEPS or later: of a marker, only the
# activity's type can be read without the key. A replay compares it.
PLAY_NAMED: Final = Step("reserve-resolve-settle-emit", Bet, PlayResult)
NAMED_STEPS: Final = 2
# The schema of the release that brought it. Programs of earlier ones cannot replay such a round, so none
# begins while a database still serves them (docs/contributing/compatible-changes.md).
NAMED_STEPS_SCHEMA: Final = "0021"
# A manual intervention, put to the ledger.
INTERVENE: Final = Step("intervene", InterveneRequest, InterventionResult)
# The workflow's name, as histories show it and as the ingress starts it.
ROUND_WORKFLOW: Final = "Round"
# A workflow task that is not completed within this time is given to another worker. A round takes
# milliseconds, so this is how long a killed process can delay one. workflows/policies.py has a limit that
# must stay below four fifths of it.
ROUND_TASK_TIMEOUT: Final = timedelta(seconds=3)
# Its update: takes an Intervention, returns an InterventionResult.
INTERVENE_UPDATE: Final = "intervene"
# Its update: takes a PlayerAction, returns an ActResult.
ACT_UPDATE: Final = "act"
