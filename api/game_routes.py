"""The game client's calls: its session, its balance, its bets and its history."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse

from api import game_calls
from api.authentication import AnySession, Deps, LiveSession
from api.bet_route import BetRoute
from api.game_calls import REPLAYED, Reply
from api.models import (
    PROBLEM_RESPONSES,
    BalanceOut,
    PlaceBet,
    RotateSeed,
    RoundOut,
    RoundPage,
    SeedRotated,
    SessionOut,
    SessionRefreshed,
    TakeAction,
    headers,
    repeat,
)
from api.problems import Problem, problems
from api.shapes import cursor, position, round_body
from api.strict_json import StrictRoute
from contracts import failures
from contracts.seeds import RotationVerdict
from contracts.views import RoundFilter
from runtime.services import Reveal

ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"

router = APIRouter(
    prefix="/v1/game",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
)


@router.get(
    "/session", tags=["Session API"], response_model=SessionOut, responses=problems("session-expired")
)
async def session(claims: AnySession, services: Deps) -> JSONResponse:
    """The session: player, game, balance, an open round to resume, and the fairness commitment."""
    return _respond(await game_calls.session(claims, services))


@router.post(
    "/session/refresh",
    tags=["Session API"],
    response_model=SessionRefreshed,
    responses=problems("session-expired"),
)
async def refresh_session(claims: LiveSession, services: Deps) -> JSONResponse:
    """A new token for the same session, with a later expiry: never past the longest time that the session may
    last, and not for a session that has ended or a token that has expired."""
    return _respond(await game_calls.refresh_session(claims, services))


@router.get("/balance", tags=["Wallet API"], response_model=BalanceOut, responses=problems("wallet-failed"))
async def balance(claims: AnySession, services: Deps) -> JSONResponse:
    """What the player can bet: the balance less what open rounds hold. Where the operator's own wallet keeps
    the money, what that says."""
    return _respond(await game_calls.balance(claims, services))


async def place_bet(body: PlaceBet, claims: LiveSession, services: Deps, request: Request) -> JSONResponse:
    """Plays a round. Send the same body again after any doubt: it is played once."""
    return _respond(await game_calls.place_bet(body, claims, services, request.state.request_id))


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
            "not-found",
            "round-closed",
            "wrong-state",
            "id-reused",
            "unknown-choice",
            "wallet-failed",
        ),
    },
)
async def take_action(
    round_id: Annotated[str, Path(pattern=ID_PATTERN)],
    body: TakeAction,
    claims: AnySession,
    services: Deps,
    request: Request,
) -> JSONResponse:
    """Decides in a round that waits for its player: one of its `choices`. Send the same body again after any
    doubt: it is taken once. Also an expired session may go on with an open round, but not stake more."""
    return _respond(await game_calls.take_action(round_id, body, claims, services, request.state.request_id))


@router.get(
    "/rounds/{round_id}", tags=["Result API"], response_model=RoundOut, responses=problems("not-found")
)
async def round_(
    round_id: Annotated[str, Path(pattern=ID_PATTERN)], claims: AnySession, services: Deps
) -> JSONResponse:
    """One of the player's own rounds."""
    return _respond(await game_calls.find_round(round_id, claims, services))


@router.get("/rounds", tags=["Result API"], response_model=RoundPage)
async def rounds(
    claims: AnySession,
    services: Deps,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor_: Annotated[str | None, Query(alias="cursor", max_length=64)] = None,
) -> JSONResponse:
    """The player's own history, newest first."""
    own = RoundFilter(operator_id=claims.operator_id, player_key=claims.player_key, demo=claims.demo)
    items, following = await services.rounds.page(own, before=position(cursor_), limit=limit)
    return JSONResponse({"items": [round_body(view) for view in items], "next_cursor": cursor(following)})


@router.post(
    "/seed",
    tags=["Session API"],
    response_model=SeedRotated,
    responses={
        200: {"headers": headers("Idempotent-Replayed")},
        **problems("round-open", "id-reused", "not-found"),
    },
)
async def rotate_seed(body: RotateSeed, claims: AnySession, services: Deps) -> JSONResponse:
    """Reveals the server seed of the rounds so far, for checking them, and commits to the next one. Name the
    seed to reveal by its `server_seed_hash`, and the same request may be sent again after any doubt. Unnamed,
    a request is a repeat while the new seed is unused and has the same client seed."""
    reveal = await services.sessions.rotate_seed(
        claims, client_seed=body.client_seed, expected_hash=body.server_seed_hash
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


def _respond(reply: Reply) -> JSONResponse:
    return JSONResponse(reply.body, reply.status, headers=reply.headers)
