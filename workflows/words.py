"""What a workflow says of itself to people: summaries of its activities and timers, and what it waits for.

None of it is a command, so a replay compares nothing of it. It is sealed like every payload. How often a step
was attempted only Temporal knows, until the step ends: describing the workflow tells it, beside these lines.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from contracts.actions import ActRequest
from contracts.choices import Abandonment, OpenRound
from contracts.failures import OF_A_WALLET, bounded, one_line
from contracts.interventions import InterveneRequest
from contracts.rounds import Bet, EmitRequest, OpenRequest, ReleaseRequest, ResolveRequest, SettleRequest
from contracts.search import short
from contracts.webhooks import Delivery


def summary(request: object) -> str | None:
    """What a step is to do, None where its name says all."""
    match request:
        case Bet():
            return short(f"hold {request.stake} {request.currency}")
        case ResolveRequest():
            after = f" after {len(request.actions)} actions" if request.actions else ""
            return short(f"play {request.bet.game_id} {request.bet.game_version}{after}")
        case OpenRequest():
            return "leave the round to its player"
        case SettleRequest():
            if request.resolution is None:
                return "pay what is on record"
            return short(f"pay a win of {request.resolution.win} {request.bet.currency}")
        case ReleaseRequest():
            return short(f"release the stake: {request.failure_code}")
        case EmitRequest():
            return short(f"publish event {request.event_id}")
        case ActRequest():
            return short(f"{request.action.chosen.action} by the {request.action.by}")
        case InterveneRequest():
            return short(f"{request.intervention.action} by {request.intervention.actor}")
        case Delivery():
            return short(f"event {request.event_id}")
    return None


def decides(opened: OpenRound) -> str:
    """The summary of the timer of a player who stays away."""
    if opened.offer.abandonment is Abandonment.REFUND:
        return "refund, for the player stays away"
    return short(f"{opened.offer.default.action}, for the player stays away")


@contextmanager
def waiting(line: str) -> Iterator[None]:
    """The workflow's current details have `line` while the block lasts; several blocks may do so at once."""
    _say([*_said(), line])
    try:
        yield
    except GeneratorExit:
        # The workflow left its worker's memory. Where this runs there is no workflow, or another one.
        raise
    except BaseException:
        _no_longer_say(line)
        raise
    _no_longer_say(line)


def left_the_fast_path(bet: Bet, failure: BaseException) -> str:
    """Since when the round is on the durable path, and why."""
    cause = failure.cause if isinstance(failure, ActivityError) and failure.cause else failure
    error_type = cause.type if isinstance(cause, ApplicationError) else None
    at_wallet = error_type in OF_A_WALLET
    what = f"waits for the wallet of {bet.key.operator_id}" if at_wallet else "is on the durable path"
    why = f"{error_type}: {cause.message}" if isinstance(cause, ApplicationError) else str(cause)
    return one_line(f"{what} since {moment(workflow.now())} ({bounded(why)})")


def attempted(step: str, request: object) -> str:
    """Since when a step is an activity that is attempted."""
    what = summary(request)
    doing = f" ({what})" if what else ""
    return f"{step}{doing} is attempted since {moment(workflow.now())}: the pending activities say how often"


def offered(opened: OpenRound) -> str:
    """What the round offers to its player, and since when this workflow waits for the decision."""
    choices = ", ".join(choice.action for choice in opened.offer.choices)
    return one_line(f"waits for the player since {moment(workflow.now())}: {choices}")


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _said() -> list[str]:
    return [line for line in workflow.get_current_details().split("\n") if line]


def _no_longer_say(line: str) -> None:
    lines = _said()
    lines.remove(line)
    _say(lines)


def _say(lines: list[str]) -> None:
    workflow.set_current_details("\n".join(lines))
