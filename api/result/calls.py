"""A player's round, by whichever transport it is asked for."""

from api.gateway.caller import Caller, Reply
from api.gateway.problems import Problem, unavailable
from api.result.schemas import round_body
from runtime.round_workflows import TemporalAway


async def find_round(round_id: str, caller: Caller) -> Reply:
    """One of the player's own rounds, from the moment on that its bet was answered with 202."""
    try:
        view = await caller.services.results.look_up(caller.round_key(round_id))
    except TemporalAway as away:
        raise unavailable(away.cause, "Nobody knows whether there is such a round: ask again.") from None
    if view is None:
        raise Problem("not-found", "The player has no such round.")
    return Reply(200, round_body(view))
