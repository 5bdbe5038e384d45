"""The Result API over HTTP: the player's own rounds."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse

from api.gateway.authentication import AnySession
from api.gateway.caller import respond
from api.gateway.paging import cursor, position
from api.gateway.problems import problems
from api.gateway.schemas import ID_PATTERN, PROBLEM_RESPONSES
from api.gateway.strict_json import StrictRoute
from api.result import calls
from api.result.schemas import RoundOut, RoundPage, round_body
from contracts.views import RoundFilter

router = APIRouter(
    prefix="/v1/game",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
)


@router.get(
    "/rounds/{round_id}", tags=["Result API"], response_model=RoundOut, responses=problems("not-found")
)
async def round_(round_id: Annotated[str, Path(pattern=ID_PATTERN)], caller: AnySession) -> JSONResponse:
    """One of the player's own rounds."""
    return respond(await calls.find_round(round_id, caller))


@router.get("/rounds", tags=["Result API"], response_model=RoundPage)
async def rounds(
    caller: AnySession,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor_: Annotated[str | None, Query(alias="cursor", max_length=64)] = None,
) -> JSONResponse:
    """The player's own history, newest first."""
    claims = caller.claims
    own = RoundFilter(operator_id=claims.operator_id, player_key=claims.player_key, demo=claims.demo)
    items, following = await caller.services.results.page(own, before=position(cursor_), limit=limit)
    return JSONResponse({"items": [round_body(view) for view in items], "next_cursor": cursor(following)})
