"""The Session API over HTTP: the game client's side of a session, and its seed."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.gateway.authentication import AnySession, LiveSession
from api.gateway.caller import REPLAYED, respond
from api.gateway.problems import Problem, problems
from api.gateway.schemas import PROBLEM_RESPONSES, headers
from api.gateway.strict_json import StrictRoute
from api.session import calls
from api.session.schemas import RotateSeed, SeedRotated, SessionOut, SessionRefreshed
from api.session.service import Reveal
from contracts import failures
from contracts.seeds import RotationVerdict

router = APIRouter(
    prefix="/v1/game",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
)


@router.get(
    "/session", tags=["Session API"], response_model=SessionOut, responses=problems("session-expired")
)
async def session(caller: AnySession) -> JSONResponse:
    """The session: player, game, balance, an open round to resume, and the fairness commitment."""
    return respond(await calls.session(caller))


@router.post(
    "/session/refresh",
    tags=["Session API"],
    response_model=SessionRefreshed,
    responses=problems("session-expired"),
)
async def refresh_session(caller: LiveSession) -> JSONResponse:
    """A new token for the same session, with a later expiry: never past the longest time that the session may
    last, and not for a session that has ended or a token that has expired."""
    return respond(await calls.refresh_session(caller))


@router.post(
    "/seed",
    tags=["Session API"],
    response_model=SeedRotated,
    responses={
        200: {"headers": headers("Idempotent-Replayed")},
        **problems("round-open", "id-reused", "not-found"),
    },
)
async def rotate_seed(body: RotateSeed, caller: AnySession) -> JSONResponse:
    """Reveals the server seed of the rounds so far, for checking them, and commits to the next one. Name the
    seed to reveal by its `server_seed_hash`, and the same request may be sent again after any doubt. Unnamed,
    a request is a repeat while the new seed is unused and has the same client seed."""
    reveal = await caller.services.sessions.rotate_seed(
        caller.claims, client_seed=body.client_seed, expected_hash=body.server_seed_hash
    )
    if reveal is None:
        raise Problem("unauthenticated", "The session is not known here.")
    return _revealed(reveal)


def _revealed(reveal: Reveal) -> JSONResponse:
    if reveal.verdict is RotationVerdict.ROUND_OPEN:
        raise Problem(
            failures.ROUND_OPEN, "A seed is revealed when its rounds are over.", open_round=reveal.open_round
        )
    if reveal.verdict is RotationVerdict.REUSED:
        raise Problem(failures.ID_REUSED, "This seed was revealed with another client seed.")
    if reveal.revealed is None:
        raise Problem("not-found", "server_seed_hash is neither the session's seed nor the one before it.")
    old, following = reveal.revealed, reveal.following
    body = {
        "revealed": {
            "server_seed": old.server_seed.hex(),
            "server_seed_hash": old.server_seed_hash,
            "client_seed": old.client_seed,
            "last_nonce": old.last_nonce,
        },
        "next": {
            "server_seed_hash": following.server_seed_hash,
            "client_seed": following.client_seed,
            "next_nonce": following.next_nonce,
        },
    }
    return JSONResponse(body, headers=REPLAYED if reveal.verdict is RotationVerdict.REPLAYED else {})
