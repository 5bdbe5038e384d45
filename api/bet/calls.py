"""The calls of the Bet API, by whichever transport they come: a bet, and an action in a round that waits."""

import time
from collections.abc import Awaitable
from math import ceil
from typing import Any, Final, TypeVar

from api.bet.actions import GameMissing, OtherGame
from api.bet.schemas import PlaceBet, TakeAction, bet_of
from api.bet.service import Answer, NothingStored
from api.gateway.caller import REPLAYED, Caller, Reply
from api.gateway.problems import Problem, unavailable
from api.gateway.schemas import balance_money
from api.result.schemas import pending_body, round_body
from contracts import failures
from contracts.actions import ActionVerdict, PlayerAction
from contracts.choices import Chosen
from contracts.rounds import Bet, RoundState
from contracts.views import RoundView
from games.checks import GameError
from games.protocol import Game, Wager, WagerRefused
from games.registry import UnknownGame
from hosting.games import admitted, check_wager
from hosting.lane import GameBusy, GameOutOfOrder
from runtime import metrics
from runtime.round_workflows import OutcomeUncertain, TemporalAway
from runtime.unavailable import Cause

# Reconciliation comes by every minute.
LOST_RETRY_AFTER_S: Final = 5

T = TypeVar("T")


async def place_bet(body: PlaceBet, caller: Caller) -> Reply:
    """Plays a round."""
    try:
        game = caller.services.games.get(caller.claims.game_id)
        with admitted(game):
            return await _place(game, body, caller)
    except (UnknownGame, GameBusy, GameOutOfOrder, GameError) as why:
        return await _repeat_or_refuse(body, caller, why)


async def _place(game: Game, body: PlaceBet, caller: Caller) -> Reply:
    started_at = time.monotonic()
    services = caller.services
    await _check(game, body)
    bet = bet_of(body, caller.claims, game_version=game.version, request_id=caller.request_id)
    with metrics.of_step("place").time():
        answer = await _certain(services.bets.place(bet), body.round_id)
    reply = _reply(bet, answer)
    metrics.of_bet(reply.status).observe(time.monotonic() - started_at)
    return reply


async def _repeat_or_refuse(body: PlaceBet, caller: Caller, why: Exception) -> Reply:
    """The answer while the game takes no bets. A repeat is answered as always: it may ask after a stake."""
    bet = bet_of(body, caller.claims, game_version="", request_id=caller.request_id)
    answer = await _certain(caller.services.bets.repeat(bet), body.round_id)
    if answer is None:
        raise _unavailable(why, "Nothing was staked.")
    return _reply(bet, answer)


def _reply(bet: Bet, answer: Answer) -> Reply:
    if answer.view is None or not (answer.view.state.final or answer.view.open):
        return _pending(bet, answer.view)
    return _played(bet, answer.view, first=answer.first)


async def _certain(answering: Awaitable[T], round_id: str) -> T:
    try:
        return await answering
    except (OutcomeUncertain, TemporalAway) as uncertain:
        raise _uncertain(uncertain, round_id) from None
    except NothingStored as refused:
        raise Problem(refused.code, _NOTHING.get(refused.code, _NOTHING_STAKED)) from None


_NOTHING_STAKED: Final = "Nothing was staked; a new try needs a new round id."
_NOTHING: Final = {
    failures.ROUND_LOST: "The ledger was restored to a moment before it: its stake is back, or the"
    " operator's wallet is being asked. A new try needs a new round id."
}


async def take_action(round_id: str, body: TakeAction, caller: Caller) -> Reply:
    """Takes the player's action in a round that waits for it, once."""
    action = PlayerAction(
        action_id=body.action_id,
        chosen=Chosen(action=body.action, params=body.params),
        request_id=caller.request_id,
    )
    taking = caller.services.actions.take(caller.claims, round_id, action)
    try:
        answer = await _certain(taking, round_id)
    except OtherGame:
        raise Problem("forbidden", "Act with a session of the round's own game and currency.") from None
    except (GameMissing, GameBusy, GameOutOfOrder) as why:
        raise _unavailable(why, "The round waits.") from None
    if answer.view is None:
        raise Problem("not-found", "The player has no such round.")
    if not answer.verdict.counts:
        raise _refused(answer.verdict, answer.view)
    first = answer.verdict is ActionVerdict.TAKEN
    return Reply(200, round_body(answer.view), {} if first else REPLAYED)


def _unavailable(why: Exception, still: str) -> Problem:
    """The problem of a game that takes no bet or action now. `still` says what stays as it was."""
    if isinstance(why, GameBusy):
        return unavailable(Cause.GAME, f"Send the same again soon. {still}")
    metrics.BETS_REFUSED.labels(failures.GAME_DISABLED).inc()
    if isinstance(why, UnknownGame):
        return Problem(failures.GAME_DISABLED, f"This game is not offered here any more. {still}")
    if isinstance(why, GameMissing):
        return Problem(failures.GAME_DISABLED, f"{why} is not offered here any more. {still}")
    return Problem(failures.GAME_DISABLED, f"This game is out of order. {still}")


async def _check(game: Game, body: PlaceBet) -> None:
    try:
        await check_wager(game, Wager(stake=body.stake, mode=body.mode, choice=body.choice))
    except WagerRefused as refused:
        metrics.BETS_REFUSED.labels(refused.code).inc()
        raise Problem(refused.code, str(refused)) from None


def _uncertain(uncertain: OutcomeUncertain | TemporalAway, round_id: str) -> Problem:
    members = {"retry_after": LOST_RETRY_AFTER_S} if uncertain.cause is Cause.LOST else {}
    return unavailable(uncertain.cause, f"Send the same again, or ask for round {round_id}.", **members)


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
    ActionVerdict.WALLET_FAILED: "The wallet did not take the cost; try with a new action id.",
}


def _declined(view: RoundView, headers: dict[str, str]) -> Problem:
    code = view.failure_code or "invalid"
    members: dict[str, Any] = {"round_id": view.key.round_id}
    detail = "The bet was declined; a new try needs a new round id."
    if code == failures.INSUFFICIENT_FUNDS and view.balance is not None:
        members["balance"] = balance_money(view.balance, view.currency)
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
    body = pending_body(bet) if view is None else round_body(view)
    return Reply(202, body, headers)
