"""Games over HTTP, without a key: the list, each game's rules, and checking the outcome of any round."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse

from api.game.schemas import GameList, GameOut, VerifiedOutcome, VerifyOutcome
from api.gateway.authentication import Deps
from api.gateway.problems import Problem, problems
from api.gateway.schemas import PROBLEM_RESPONSES
from api.gateway.strict_json import StrictRoute
from games.checks import ActionRefused, GameError
from games.protocol import Chosen, Wager, WagerRefused
from games.registry import UnknownGame
from hosting.games import recompute
from hosting.lane import GameBusy, GameOutOfOrder
from security.seeds import commitment

router = APIRouter(responses=PROBLEM_RESPONSES)


@router.get("/v1/games", tags=["Open"], response_model=GameList)
async def games(services: Deps) -> JSONResponse:
    """The games that can be played, each in its current version."""
    return JSONResponse({"items": services.games.listing()})


@router.get("/v1/games/{game_id}", tags=["Open"], response_model=GameOut, responses=problems("not-found"))
async def game(game_id: Annotated[str, Path(max_length=64)], services: Deps) -> JSONResponse:
    """One game with its rules."""
    try:
        return JSONResponse(services.games.describe(game_id))
    except UnknownGame:
        raise Problem("not-found", "There is no such game.") from None


async def verify(body: VerifyOutcome, services: Deps) -> JSONResponse:
    """Computes the outcome of a round again, from its revealed seed and what its player knows. Nothing is
    looked up and nothing is kept: anyone can do the same with a program of their own."""
    server_seed = bytes.fromhex(body.server_seed)
    try:
        step = await recompute(
            services.games.get(body.game, body.version),
            Wager(stake=body.stake, mode=body.mode, choice=body.choice),
            server_seed=server_seed,
            client_seed=body.client_seed,
            nonce=body.nonce,
            actions=[Chosen(action=taken.action, params=taken.params) for taken in body.actions],
        )
    except UnknownGame:
        raise Problem("not-found", "There is no such game, or no such version of it.") from None
    except WagerRefused as refused:
        raise Problem(refused.code, str(refused)) from None
    except ActionRefused:
        raise Problem("unknown-choice", "actions: the round does not offer one of them there") from None
    except (GameBusy, GameOutOfOrder):
        raise Problem("overloaded", "The game cannot be asked right now: try again soon.") from None
    except GameError:
        raise Problem("invalid", "The game gives no outcome for this.") from None
    return JSONResponse(
        {"server_seed_hash": commitment(server_seed), "outcome": step.outcome, "win": step.win}
    )


# Added by hand, for a decorator has no say in the class of its route: the body must be exact JSON.
router.add_api_route(
    "/v1/fairness/verify",
    verify,
    methods=["POST"],
    tags=["Open"],
    response_model=VerifiedOutcome,
    responses=problems("not-found", "stake-not-allowed", "unknown-choice"),
    route_class_override=StrictRoute,
)
