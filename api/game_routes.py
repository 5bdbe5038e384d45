"""The game client's calls: its session, its balance, its bets and its history."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse

from api.authentication import AnySession, Deps, LiveSession
from api.bet_route import BetRoute
from api.bets import NothingStored, StartUncertain
from api.models import (
    PROBLEM_RESPONSES,
    BalanceOut,
    PlaceBet,
    RotateSeed,
    RoundOut,
    RoundPage,
    SeedRotated,
    SessionOut,
)
from api.problems import Problem
from api.services import Services
from api.shapes import cursor, moment, money, pending_body, position, round_body
from api.strict_json import StrictRoute
from contracts import failures
from contracts.rounds import Bet, RoundKey, RoundState
from contracts.seeds import RotationVerdict
from contracts.sessions import SessionClaims
from contracts.views import RoundFilter, RoundView
from games.checks import check_wager
from games.protocol import Game, Wager, WagerRefused
from games.registry import Registry, UnknownGame
from runtime import metrics
from runtime.services import NoAccount, Reveal, WalletSilent

REPLAYED = {"Idempotent-Replayed": "true"}
ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"

router = APIRouter(
    prefix="/v1/game",
    route_class=StrictRoute,
    responses=PROBLEM_RESPONSES,
)


@router.get("/session", tags=["Session API"], response_model=SessionOut)
async def session(claims: AnySession, services: Deps) -> JSONResponse:
    """The session: player, game, balance, an open round to resume, and the fairness commitment."""
    found = await services.sessions.find(claims)
    if found is None:
        raise Problem("unauthenticated", "The session is not known here.")
    if found.ended_at is not None:
        raise Problem(failures.SESSION_EXPIRED, "The operator has ended the session.")
    open_round = await services.rounds.open_round(player_key=claims.player_key, game_id=claims.game_id)
    return JSONResponse(
        {
            "session_id": found.session_id,
            "player": {"id": found.player_id},
            "game": services.games.describe(claims.game_id),
            "currency": found.currency,
            "mode": found.mode,
            "balance": await _balance_or_null(claims, services),
            "limits": {},
            "open_round": open_round,
            "fairness": {
                "server_seed_hash": found.server_seed_hash,
                "client_seed": found.client_seed,
                "next_nonce": found.next_nonce,
            },
            "expires_at": moment(found.expires_at),
        }
    )


@router.get("/balance", tags=["Wallet API"], response_model=BalanceOut)
async def balance(claims: AnySession, services: Deps) -> JSONResponse:
    """What the player can bet: the balance less what open rounds hold. Where the operator's own wallet keeps
    the money, what that says."""
    try:
        return JSONResponse({"balance": await _balance(claims, services)})
    except WalletSilent:
        raise Problem(failures.WALLET_FAILED, "The operator's wallet does not say; ask again.") from None


async def place_bet(body: PlaceBet, claims: LiveSession, services: Deps, request: Request) -> JSONResponse:
    """Plays a round. Send the same body again after any doubt: it is played once."""
    started_at = time.monotonic()
    game = _current_game(services.games, claims.game_id)
    _check(game, body)
    bet = _bet(body, claims, game, request.state.request_id)
    try:
        with metrics.STAGE_SECONDS.labels("place").time():
            answer = await services.bets.place(bet)
    except StartUncertain:
        raise Problem("overloaded", f"Nobody knows yet: repeat, or ask for round {body.round_id}.") from None
    except NothingStored as refused:
        raise Problem(refused.code, "Nothing was staked; a new try needs a new round id.") from None
    if answer.view is None or not answer.view.state.final:
        response = _pending(bet, answer.view)
    else:
        response = _closed(bet, answer.view, first=answer.first)
    metrics.BET_SECONDS.labels(str(response.status_code)).observe(time.monotonic() - started_at)
    return response


# Added by hand, for a decorator has no say in the class of its route.
router.add_api_route(
    "/rounds",
    place_bet,
    methods=["POST"],
    tags=["Bet API"],
    status_code=201,
    response_model=RoundOut,
    responses={
        200: {"model": RoundOut, "description": "A repeat: the first answer again"},
        202: {"model": RoundOut, "description": "Still pending: ask at Location"},
    },
    route_class_override=BetRoute,
)


@router.get("/rounds/{round_id}", tags=["Result API"], response_model=RoundOut)
async def round_(
    round_id: Annotated[str, Path(pattern=ID_PATTERN)], claims: AnySession, services: Deps
) -> JSONResponse:
    """One of the player's own rounds."""
    view = await services.rounds.find(_key(claims, round_id))
    if view is None:
        raise Problem("not-found", "The player has no such round.")
    return JSONResponse(round_body(view))


@router.get("/rounds", tags=["Result API"], response_model=RoundPage)
async def rounds(
    claims: AnySession,
    services: Deps,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor_: Annotated[str | None, Query(alias="cursor", max_length=64)] = None,
) -> JSONResponse:
    """The player's own history, newest first."""
    own = RoundFilter(operator_id=claims.operator_id, player_key=claims.player_key)
    items, following = await services.rounds.page(own, before=position(cursor_), limit=limit)
    return JSONResponse({"items": [round_body(view) for view in items], "next_cursor": cursor(following)})


@router.post("/seed", tags=["Session API"], response_model=SeedRotated)
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


async def _balance(claims: SessionClaims, services: Services) -> dict[str, Any]:
    """Raises WalletSilent."""
    try:
        return money(await services.players.available(claims), claims.currency)
    except NoAccount:
        raise Problem("unauthenticated", "The session is not known here.") from None


async def _balance_or_null(claims: SessionClaims, services: Services) -> dict[str, Any] | None:
    """A wallet that is silent for a moment keeps no player from an open round."""
    try:
        return await _balance(claims, services)
    except WalletSilent:
        return None


def _current_game(games: Registry, game_id: str) -> Game:
    try:
        return games.get(game_id)
    except UnknownGame:
        raise Problem(failures.GAME_DISABLED, "This game is not offered here any more.") from None


def _check(game: Game, body: PlaceBet) -> None:
    try:
        check_wager(game, Wager(stake=body.stake, mode=body.mode, choice=body.choice))
    except WagerRefused as refused:
        metrics.BETS_REFUSED.labels(refused.code).inc()
        raise Problem(refused.code, str(refused)) from None


def _key(claims: SessionClaims, round_id: str) -> RoundKey:
    return RoundKey(operator_id=claims.operator_id, player_key=claims.player_key, round_id=round_id)


def _bet(body: PlaceBet, claims: SessionClaims, game: Game, request_id: str) -> Bet:
    return Bet(
        key=_key(claims, body.round_id),
        player_id=claims.player_id,
        account_id=claims.account_id,
        session_id=claims.session_id,
        game_id=game.id,
        game_version=game.version,
        currency=claims.currency,
        stake=body.stake,
        mode=body.mode,
        choice=body.choice,
        request_id=request_id,
    )


def _closed(bet: Bet, view: RoundView, *, first: bool) -> JSONResponse:
    headers = {} if first else REPLAYED
    if not view.answers(bet):
        raise Problem(failures.ID_REUSED, f"Round {bet.key.round_id} was another bet: take a new id.")
    if view.state is RoundState.DECLINED:
        raise _declined(view, headers)
    return JSONResponse(round_body(view), 201 if first else 200, headers=headers)


def _declined(view: RoundView, headers: dict[str, str]) -> Problem:
    code = view.failure_code or "invalid"
    members: dict[str, Any] = {"round_id": view.key.round_id}
    detail = "The bet was declined; a new try needs a new round id."
    if code == failures.INSUFFICIENT_FUNDS and view.balance is not None:
        members["balance"] = money(view.balance, view.currency)
    if code == failures.ROUND_OPEN:
        members["open_round"] = view.failure_detail
        detail = "Finish or await the open round first; then bet with a new round id."
    metrics.BETS_REFUSED.labels(code).inc()
    return Problem(code, detail, headers=headers, **members)


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


def _pending(bet: Bet, view: RoundView | None) -> JSONResponse:
    if view is not None and not view.answers(bet):
        raise Problem(failures.ID_REUSED, f"Round {bet.key.round_id} was another bet: take a new id.")
    headers = {"Location": f"/v1/game/rounds/{bet.key.round_id}", "Retry-After": "1"}
    body = round_body(view) if view is not None else pending_body(bet)
    return JSONResponse(body, 202, headers=headers)
