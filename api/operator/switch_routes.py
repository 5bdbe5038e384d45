"""What an operator switches off and on: games, and players."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse

from api.game.calls import known_game
from api.gateway.authentication import Deps, Operator
from api.gateway.problems import Problem, problems
from api.gateway.schemas import PROBLEM_RESPONSES, GameId, PlayerIdInPath
from api.gateway.strict_json import StrictRoute
from api.operator.schemas import GameSwitched, PlayerSwitched, SwitchGame, SwitchPlayer
from contracts.audit import By

router = APIRouter(
    prefix="/v1/operator",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
)


@router.put(
    "/games/{game_id}", tags=["Session API"], response_model=GameSwitched, responses=problems("not-found")
)
async def switch_game(
    game_id: Annotated[GameId, Path()], body: SwitchGame, operator: Operator, services: Deps
) -> JSONResponse:
    """Switches a game off, or on again, for this operator's players. Rounds under way finish; a new bet is
    refused with `game-disabled`. The reason, if one is given, is kept with who did it."""
    known_game(game_id, services.games)
    await services.switches.game(
        operator_id=operator.operator_id,
        game_id=game_id,
        enabled=body.enabled,
        by=By(operator.actor, body.reason),
    )
    return JSONResponse({"game_id": game_id, "enabled": body.enabled})


@router.put(
    "/players/{player_id}",
    tags=["Session API"],
    response_model=PlayerSwitched,
    responses=problems("not-found"),
)
async def switch_player(
    player_id: PlayerIdInPath, body: SwitchPlayer, operator: Operator, services: Deps
) -> JSONResponse:
    """Blocks a player, or lets the player bet again, with real money and with demo money. Rounds under way
    finish; a new bet is refused with `player-blocked`. The reason, if one is given, is kept with who did
    it."""
    if not await services.switches.player(
        operator_id=operator.operator_id,
        player_id=player_id,
        blocked=body.blocked,
        by=By(operator.actor, body.reason),
    ):
        raise Problem("not-found", "There is no such player; the first session or deposit makes one.")
    return JSONResponse({"player_id": player_id, "blocked": body.blocked})
