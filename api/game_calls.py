"""The game client's calls, whatever way they come in: each takes who asks and what, and gives a Reply or
raises a Problem."""

import time
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

from api.actions import ActionUncertain
from api.bets import NothingStored, StartUncertain
from api.models import PlaceBet, TakeAction, TellEvents
from api.problems import Problem
from api.services import Services
from api.shapes import moment, money, pending_body, round_body
from contracts import failures
from contracts.actions import ActionVerdict, PlayerAction
from contracts.choices import Chosen
from contracts.events import TellVerdict
from contracts.rounds import Bet, RoundKey, RoundState
from contracts.sessions import SessionClaims
from contracts.views import RoundView, SessionView
from games.checks import check_wager
from games.protocol import Game, Wager, WagerRefused
from games.registry import Registry, UnknownGame
from runtime import metrics
from runtime.services import NoAccount, WalletSilent

REPLAYED: Final = {"Idempotent-Replayed": "true"}
TELL_AGAIN_AFTER_S: Final = 10


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: the status and headers that HTTP gives it, and its body."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


async def session(claims: SessionClaims, services: Services) -> Reply:
    """The session with its balance, and an open round to resume."""
    found = await _live(claims, services)
    open_round = await services.rounds.open_round(player_key=claims.player_key, game_id=claims.game_id)
    return Reply(
        200,
        {
            "session_id": found.session_id,
            "player": {"id": found.player_id},
            "game": services.games.describe(claims.game_id),
            "currency": found.currency,
            "mode": found.mode,
            "balance": await _balance_or_null(claims, services),
            "limits": found.limits or {},
            "open_round": open_round,
            "fairness": {
                "server_seed_hash": found.server_seed_hash,
                "client_seed": found.client_seed,
                "next_nonce": found.next_nonce,
            },
            "expires_at": moment(found.expires_at),
            "jurisdiction": found.jurisdiction,
            "enabled": found.enabled,
        },
    )


async def refresh_session(claims: SessionClaims, services: Services) -> Reply:
    """A token with a later expiry for the same session."""
    refreshed = await services.sessions.refresh(await _live(claims, services))
    if refreshed is None:
        raise Problem(failures.SESSION_EXPIRED, "The session is over: ask the operator for a new one.")
    expires_at, token = refreshed
    return Reply(200, {"token": token, "expires_at": moment(expires_at)})


async def _live(claims: SessionClaims, services: Services) -> SessionView:
    found = await services.sessions.find(operator_id=claims.operator_id, session_id=claims.session_id)
    if found is None:
        raise Problem("unauthenticated", "The session is not known here.")
    if found.ended_at is not None:
        raise Problem(failures.SESSION_EXPIRED, "The operator has ended the session.")
    return found


async def balance(claims: SessionClaims, services: Services) -> Reply:
    """What the player can bet."""
    try:
        return Reply(200, {"balance": await _balance(claims, services)})
    except WalletSilent:
        raise Problem(failures.WALLET_FAILED, "The operator's wallet does not say; ask again.") from None


async def place_bet(body: PlaceBet, claims: SessionClaims, services: Services, request_id: str) -> Reply:
    """Plays a round. `request_id` is this request's own: it tells the first answer from a repeat's."""
    started_at = time.monotonic()
    game = _current_game(services.games, claims.game_id)
    _check(game, body)
    bet = _bet(body, claims, game, request_id)
    try:
        with metrics.STAGE_SECONDS.labels("place").time():
            answer = await services.bets.place(bet)
    except StartUncertain:
        raise Problem("overloaded", f"Nobody knows yet: repeat, or ask for round {body.round_id}.") from None
    except NothingStored as refused:
        raise Problem(refused.code, "Nothing was staked; a new try needs a new round id.") from None
    if answer.view is None or not (answer.view.state.final or answer.view.open):
        reply = _pending(bet, answer.view)
    else:
        reply = _played(bet, answer.view, first=answer.first)
    metrics.BET_SECONDS.labels(str(reply.status)).observe(time.monotonic() - started_at)
    return reply


async def take_action(
    round_id: str, body: TakeAction, claims: SessionClaims, services: Services, request_id: str
) -> Reply:
    """Takes the player's action in a round that waits for it, once."""
    action = PlayerAction(
        action_id=body.action_id,
        chosen=Chosen(action=body.action, params=body.params),
        request_id=request_id,
    )
    try:
        answer = await services.actions.take(round_key(claims, round_id), action)
    except ActionUncertain:
        raise Problem("overloaded", f"Nobody knows yet: repeat, or ask for round {round_id}.") from None
    if answer.view is None:
        raise Problem("not-found", "The player has no such round.")
    if not answer.verdict.counts:
        raise _refused(answer.verdict, answer.view)
    first = answer.verdict is ActionVerdict.TAKEN
    return Reply(200, round_body(answer.view), {} if first else REPLAYED)


async def find_round(round_id: str, claims: SessionClaims, services: Services) -> Reply:
    """One of the player's own rounds."""
    view = await services.rounds.find(round_key(claims, round_id))
    if view is None:
        raise Problem("not-found", "The player has no such round.")
    return Reply(200, round_body(view))


async def tell_events(body: TellEvents, claims: SessionClaims, services: Services) -> Reply:
    """Records what the game client tells of itself: all of it, each event once, or nothing."""
    events = [event.model_dump() for event in body.events]
    told = await services.game_events.tell(claims, events)
    if told.verdict is TellVerdict.UNKNOWN:
        raise Problem("unauthenticated", "The session is not known here.")
    if told.verdict is TellVerdict.REUSED:
        raise Problem(failures.ID_REUSED, f"Event {told.event_id} was told before with other contents.")
    if told.verdict is TellVerdict.TOO_MANY:
        raise Problem(
            "too-many-requests",
            "Nothing was recorded: the session told too many events within a minute. Send these again later.",
            headers={"Retry-After": str(TELL_AGAIN_AFTER_S)},
            retry_after=TELL_AGAIN_AFTER_S,
        )
    return Reply(202, {"accepted": len(events)})


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


def round_key(claims: SessionClaims, round_id: str) -> RoundKey:
    return RoundKey(operator_id=claims.operator_id, player_key=claims.player_key, round_id=round_id)


def _bet(body: PlaceBet, claims: SessionClaims, game: Game, request_id: str) -> Bet:
    return Bet(
        key=round_key(claims, body.round_id),
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
        demo=claims.demo,
        jurisdiction=claims.jurisdiction,
    )


def _played(bet: Bet, view: RoundView, *, first: bool) -> Reply:
    headers = {} if first else REPLAYED
    if not view.answers(bet):
        raise Problem(failures.ID_REUSED, f"Round {bet.key.round_id} was another bet: take a new id.")
    if view.state is RoundState.DECLINED:
        raise _declined(view, headers)
    return Reply(201 if first else 200, round_body(view), headers)


def _refused(verdict: ActionVerdict, view: RoundView) -> Problem:
    members: dict[str, Any] = {"round_id": view.key.round_id, "state": view.state.value}
    if verdict is ActionVerdict.UNKNOWN_CHOICE:
        members["choices"] = round_body(view)["choices"]
    return Problem(_CODES.get(verdict, verdict.value), _REFUSALS.get(verdict, ""), **members)


# An action is refused as stale for the timer's sake only; a player's is not.
_CODES: Final = {ActionVerdict.STALE: "wrong-state"}
_REFUSALS: Final = {
    ActionVerdict.ID_REUSED: "This action id belongs to another action of the round: take a new one.",
    ActionVerdict.ROUND_CLOSED: "The round has ended; ask for it to see how.",
    ActionVerdict.WRONG_STATE: "The round does not take this action now; ask for it to see why.",
    ActionVerdict.UNKNOWN_CHOICE: "Take one of `choices`, with a value for each of its params.",
    ActionVerdict.INSUFFICIENT_FUNDS: "The balance does not cover the action; the round waits on.",
    ActionVerdict.SESSION_EXPIRED: "An action that costs something needs a live session.",
}


def _declined(view: RoundView, headers: dict[str, str]) -> Problem:
    code = view.failure_code or "invalid"
    members: dict[str, Any] = {"round_id": view.key.round_id}
    detail = "The bet was declined; a new try needs a new round id."
    if code == failures.INSUFFICIENT_FUNDS and view.balance is not None:
        members["balance"] = money(view.balance, view.currency)
    if code == failures.ROUND_OPEN:
        members["open_round"] = view.failure_detail
        detail = "Finish or await the open round first; then bet with a new round id."
    if code in (failures.LIMIT_EXCEEDED, failures.STAKE_NOT_ALLOWED) and view.failure_detail:
        limit, _, wait_ms = view.failure_detail.partition(" ")
        members["limit"] = limit
        if wait_ms:
            members["retry_after"] = ceil(int(wait_ms) / 1000)
        detail = f"{limit} of the session does not allow it; GET /v1/game/session shows the limits."
    metrics.BETS_REFUSED.labels(code).inc()
    return Problem(code, detail, headers=headers, **members)


def _pending(bet: Bet, view: RoundView | None) -> Reply:
    if view is not None and not view.answers(bet):
        raise Problem(failures.ID_REUSED, f"Round {bet.key.round_id} was another bet: take a new id.")
    headers = {"Location": f"/v1/game/rounds/{bet.key.round_id}", "Retry-After": "1"}
    body = round_body(view) if view is not None else pending_body(bet)
    return Reply(202, body, headers)
