"""Events that a game client reports of itself."""

from typing import Final

from api.event.schemas import TellEvents
from api.gateway.caller import Caller, Reply
from api.gateway.problems import Problem
from contracts import failures
from contracts.events import ReportVerdict

REPORT_AGAIN_AFTER_S: Final = 10


async def report_events(body: TellEvents, caller: Caller) -> Reply:
    """Records what the game client reports of itself: all of it, each event once, or nothing."""
    events = [event.model_dump() for event in body.events]
    result = await caller.services.game_events.record(caller.claims, events)
    if result.verdict is ReportVerdict.UNKNOWN:
        raise Problem("unauthenticated", "The session is not known here.")
    if result.verdict is ReportVerdict.REUSED:
        raise Problem(failures.ID_REUSED, f"Event {result.event_id} was reported before with other contents.")
    if result.verdict is ReportVerdict.TOO_MANY:
        raise Problem(
            "too-many-requests",
            "Nothing was recorded: the session reported too many events in a minute. Send these again later.",
            headers={"Retry-After": str(REPORT_AGAIN_AFTER_S)},
            retry_after=REPORT_AGAIN_AFTER_S,
        )
    return Reply(202, {"accepted": len(events)})
