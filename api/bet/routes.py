"""The Bet API over HTTP: bets, and actions in rounds that wait for their players."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse

from api.bet import calls
from api.bet.route import BetRoute
from api.bet.schemas import PlaceBet, TakeAction
from api.gateway.authentication import AnySession, LiveSession
from api.gateway.caller import respond
from api.gateway.problems import problems
from api.gateway.schemas import ID_PATTERN, PROBLEM_RESPONSES, headers, repeat
from api.gateway.strict_json import StrictRoute
from api.result.schemas import RoundOut

router = APIRouter(
    prefix="/v1/game",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
)


async def place_bet(body: PlaceBet, caller: LiveSession) -> JSONResponse:
    """Plays a round. Send the same body again after any doubt: it is played once."""
    return respond(await calls.place_bet(body, caller))


# Added by hand, for a decorator has no say in the class of its route.
router.add_api_route(
    "/rounds",
    place_bet,
    methods=["POST"],
    tags=["Bet API"],
    status_code=201,
    response_model=RoundOut,
    responses={
        **repeat(RoundOut),
        202: {
            "model": RoundOut,
            "description": "Still pending: ask at Location",
            "headers": headers("Location", "Retry-After"),
        },
        **problems(
            "session-expired",
            "insufficient-funds",
            "limit-exceeded",
            "game-disabled",
            "player-blocked",
            "round-open",
            "round-closed",
            "round-lost",
            "id-reused",
            "currency-mismatch",
            "stake-not-allowed",
            "unknown-choice",
            "wallet-failed",
        ),
    },
    route_class_override=BetRoute,
)


@router.post(
    "/rounds/{round_id}/actions",
    tags=["Bet API"],
    response_model=RoundOut,
    responses={
        200: {"headers": headers("Idempotent-Replayed")},
        **problems(
            "session-expired",
            "insufficient-funds",
            "forbidden",
            "not-found",
            "round-closed",
            "wrong-state",
            "id-reused",
            "unknown-choice",
            "game-disabled",
            "wallet-failed",
        ),
    },
)
async def take_action(
    round_id: Annotated[str, Path(pattern=ID_PATTERN)],
    body: TakeAction,
    caller: AnySession,
) -> JSONResponse:
    """Decides in a round that waits for its player: one of its `choices`. Send the same body again after any
    doubt: it is taken once. Also an expired session may go on with an open round, but not stake more."""
    return respond(await calls.take_action(round_id, body, caller))
