"""The lobby of a stack on one machine: its page, and the demo sessions that it opens with its own key."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from api.game.calls import known_game
from api.gateway.authentication import DISABLED, NO_LOBBY, Deps, lobby
from api.gateway.problems import Problem
from api.gateway.schemas import GameId, moment
from api.gateway.strict_json import StrictRoute
from api.pages.demo_sessions import DemoSessions
from api.pages.files import LOBBY
from api.pages.routes import page_answer
from api.session.launch import Told, launch_url
from api.session.service import OperatorDisabled

router = APIRouter(route_class=StrictRoute, include_in_schema=False)


class OpenDemoSession(Told):
    """As in the operator's call."""

    game_id: GameId


@router.get("/lobby")
async def lobby_page(request: Request, services: Deps) -> Response:
    """The page says nothing that is not public: what it may do is in the key of its fragment."""
    if services.demo_sessions is None:
        raise Problem("not-found", NO_LOBBY)
    return page_answer(request, LOBBY)


@router.post("/lobby/sessions", status_code=201)
async def open_demo_session(
    body: OpenDemoSession, services: Deps, sessions: Annotated[DemoSessions, Depends(lobby)]
) -> JSONResponse:
    """A session with demo money, whatever the caller asks for."""
    known_game(body.game_id, services.games)
    try:
        session, token = await sessions.open(body.game_id)
    except OperatorDisabled:
        raise Problem("forbidden", DISABLED) from None
    url = launch_url(services.game_client_url, game_id=body.game_id, token=token, told=body.told())
    answer: dict[str, Any] = {
        "session_id": session.session_id,
        "launch_url": url,
        "expires_at": moment(session.expires_at),
        "enabled": session.enabled,
    }
    return JSONResponse(answer, 201)
