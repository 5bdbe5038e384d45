"""A player's round, by whichever transport it is asked for."""

from api.gateway.caller import Caller, Reply
from api.gateway.problems import Problem
from api.result.schemas import round_body


async def find_round(round_id: str, caller: Caller) -> Reply:
    """One of the player's own rounds."""
    view = await caller.services.results.find(caller.round_key(round_id))
    if view is None:
        raise Problem("not-found", "The player has no such round.")
    return Reply(200, round_body(view))
