"""The session's calls, by whichever transport they come."""

from api.gateway.caller import Caller, Reply
from api.gateway.problems import Problem
from api.gateway.schemas import moment
from api.session.schemas import session_body
from api.wallet.calls import balance_or_null
from contracts import failures
from contracts.views import SessionView


async def session(caller: Caller) -> Reply:
    """The session with its balance, and an open round to resume."""
    claims, services = caller.claims, caller.services
    found = await _live(caller)
    open_round = await services.results.open_round(player_key=claims.player_key, game_id=claims.game_id)
    game = services.games.describe(claims.game_id)
    balance = await balance_or_null(caller)
    return Reply(200, session_body(found, game=game, balance=balance, open_round=open_round))


async def refresh_session(caller: Caller) -> Reply:
    """A token with a later expiry for the same session."""
    refreshed = await caller.services.sessions.refresh(await _live(caller))
    if refreshed is None:
        raise Problem(failures.SESSION_EXPIRED, "The session is over: ask the operator for a new one.")
    expires_at, token = refreshed
    return Reply(200, {"token": token, "expires_at": moment(expires_at)})


async def _live(caller: Caller) -> SessionView:
    claims = caller.claims
    found = await caller.services.sessions.find(operator_id=claims.operator_id, session_id=claims.session_id)
    if found is None:
        raise Problem("unauthenticated", "The session is not known here.")
    if found.ended_at is not None:
        raise Problem(failures.SESSION_EXPIRED, "The operator has ended the session.")
    return found
