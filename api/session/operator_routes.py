"""The Session API over HTTP: the operator's side, which opens sessions, reads them and ends them."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse

from api.game.calls import known_game
from api.gateway.authentication import DISABLED, Deps, GameServer
from api.gateway.problems import Problem, problems
from api.gateway.schemas import ID_PATTERN, PROBLEM_RESPONSES, moment
from api.gateway.strict_json import StrictRoute
from api.session.launch import launch_url
from api.session.schemas import OpenSession, OperatorSession, SessionOpened, operator_session_body
from api.session.service import OperatorDisabled
from contracts import failures
from contracts.jurisdictions import UnknownCurrency, UnknownJurisdiction, jurisdiction
from contracts.limits import SessionLimits
from contracts.views import OperatorCaller
from games.checks import ladder
from games.protocol import Game

router = APIRouter(
    prefix="/v1/operator",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
)


@router.post(
    "/sessions",
    tags=["Session API"],
    status_code=201,
    response_model=SessionOpened,
    responses=problems("not-found", "stake-not-allowed", "currency-mismatch"),
)
async def open_session(body: OpenSession, operator: GameServer, services: Deps) -> JSONResponse:
    """Opens a session; the player is made by the first one. The token goes to the game client."""
    brand = _brand(body, operator)
    game = known_game(body.game_id, services.games)
    limits = _limits(body, game)
    try:
        session, token = await services.sessions.open(
            operator_id=operator.operator_id,
            player_id=body.player_id,
            game_id=body.game_id,
            currency=body.currency,
            client_seed=body.client_seed,
            mode=body.mode,
            jurisdiction=body.jurisdiction,
            limits=limits,
            brand=brand,
        )
    except OperatorDisabled:  # since the key was last read
        raise Problem("forbidden", DISABLED) from None
    return JSONResponse(
        {
            "session_id": session.session_id,
            "token": token,
            "launch_url": launch_url(
                services.game_client_url, game_id=body.game_id, token=token, told=body.told()
            ),
            "expires_at": moment(session.expires_at),
            "limits": limits.as_json(),
            "enabled": session.enabled,
        },
        201,
    )


def _brand(body: OpenSession, key: OperatorCaller) -> str | None:
    """The session's brand: a key of one brand opens sessions of no other. Raises Problem."""
    if key.brand is not None and body.brand not in (None, key.brand):
        raise Problem("forbidden", f"This key opens sessions of the brand {key.brand} alone.")
    return body.brand or key.brand


def _limits(body: OpenSession, game: Game) -> SessionLimits:
    """Of the jurisdiction's and the operator's limits the stricter ones, and a ladder on which something is
    left: a session that can take no bet at all is a mistake that shows at once."""
    try:
        rules = jurisdiction(body.jurisdiction).limits(body.currency)
    except UnknownJurisdiction as unknown:
        raise Problem("invalid", f"jurisdiction: {unknown}") from None
    except UnknownCurrency as unknown:
        raise Problem(failures.CURRENCY_MISMATCH, f"jurisdiction: {unknown}") from None
    asked = {} if body.limits is None else body.limits.model_dump()
    stakes = asked.pop("stakes", None)
    own = SessionLimits(**asked, stakes=None if stakes is None else tuple(sorted(set(stakes))))
    steps = {stake for mode in game.modes for stake in ladder(game, mode)}
    if not steps.issuperset(own.stakes or ()):
        raise Problem(failures.STAKE_NOT_ALLOWED, "limits.stakes: not all of them are on the game's ladder")
    limits = own.stricter(rules)
    if not any(limits.allows(stake) for stake in steps):
        raise Problem(failures.STAKE_NOT_ALLOWED, "limits: they allow no stake of the game's ladder")
    return limits


@router.get(
    "/sessions/{session_id}",
    tags=["Session API"],
    response_model=OperatorSession,
    responses=problems("not-found"),
)
async def session_(
    session_id: Annotated[str, Path(pattern=ID_PATTERN)], operator: GameServer, services: Deps
) -> JSONResponse:
    """One session: whether it takes bets, until when, and within which limits."""
    found = await services.sessions.find(operator_id=operator.operator_id, session_id=session_id)
    if found is None:
        raise Problem("not-found", "There is no such session.")
    return JSONResponse(operator_session_body(found, now=datetime.now(UTC)))


@router.delete(
    "/sessions/{session_id}", tags=["Session API"], status_code=204, responses=problems("not-found")
)
async def end_session(
    session_id: Annotated[str, Path(pattern=ID_PATTERN)], operator: GameServer, services: Deps
) -> Response:
    """Ends a session: it takes no more bets, and rounds in flight finish."""
    if not await services.sessions.end(operator_id=operator.operator_id, session_id=session_id):
        raise Problem("not-found", "There is no such session.")
    services.pushes.session_ended(session_id)
    return Response(status_code=204)
