"""What steps and workflows returned, in one short line each."""

from datetime import datetime, timedelta

from contracts.actions import ActResult, PlayerAction
from contracts.choices import Chosen
from contracts.failures import one_line
from contracts.interventions import Intervention, InterventionResult
from contracts.rounds import (
    Bet,
    OpenResult,
    PlayResult,
    Reservation,
    Resolution,
    RoundClosed,
    StepTaken,
    Terminal,
)
from timeline.model import Entry, Source
from timeline.payloads import Unreadable
from timeline.wording import compact, money


def in_short(result: object) -> str:
    """The result of any step."""
    match result:
        case Reservation():
            return _reservation(result)
        case Resolution():
            return f"win {result.win}, outcome {compact(result.outcome)}"
        case PlayResult():
            return _played(result)
        case OpenResult():
            return "the round had ended before" if result.open is None else "the round waits for its player"
        case ActResult():
            return _acted(result)
        case PlayerAction():
            return f"{action_in_short(result.chosen)}, by the {result.by}, action {result.action_id}"
        case Intervention():
            return f"{result.action} by {result.actor}: {result.reason}"
        case InterventionResult():
            return _intervened(result)
        case Terminal():
            return _ended(result.state, result.failure_code) + (
                f", event {result.event_id}" if result.event_id else ""
            )
        case Unreadable():
            return str(result)
        case bool():
            return "the broker has confirmed the event" if result else "the event was out already"
        case _:
            return one_line(str(result))


def bet_in_short(bet: Bet) -> str:
    choice = "" if bet.choice is None else f", choice {compact(bet.choice)}"
    return f"{money(bet.stake, bet.currency)} at {bet.game_id} {bet.game_version}{choice}"


def closed_in_short(closed: RoundClosed) -> str:
    return _ended(closed.state, closed.failure_code)


def steps_of(played: PlayResult | ActResult, began: datetime) -> tuple[Entry, ...]:
    """The steps inside the fast path. Histories of earlier releases have only how long each took."""
    if played.steps or isinstance(played, ActResult):
        return tuple(_taken(step) for step in played.steps)
    entries, at = [], began
    for name, took_us in played.took_us.items():
        entries.append(Entry(at, Source.STEP, f"{name} in {took_us / 1000:.1f} ms"))
        at += timedelta(microseconds=took_us)
    return tuple(entries)


def action_in_short(chosen: Chosen) -> str:
    return f"{chosen.action} {compact(chosen.params)}" if chosen.params else chosen.action


def _taken(step: StepTaken) -> Entry:
    what = one_line(f"{step.step} in {step.took_us / 1000:.1f} ms: {step.what}")
    return Entry(datetime.fromisoformat(step.at), Source.STEP, what)


def _acted(acted: ActResult) -> str:
    if not acted.verdict.counts:
        return str(acted.verdict)
    waits = "the round waits for its player again" if acted.open is not None else ""
    return f"{acted.verdict}, {waits or _ended(acted.state, acted.failure_code)}"


def _intervened(intervened: InterventionResult) -> str:
    releasing = ", and the round is being released" if intervened.releasing else ""
    state = "" if intervened.state is None else f", the round is {intervened.state}"
    return f"{intervened.verdict}{state}{releasing}"


def _played(played: PlayResult) -> str:
    ended = _ended(played.state, played.failure_code)
    if played.unconfirmed_event_id is None:
        return ended
    return f"{ended}, event {played.unconfirmed_event_id} not confirmed yet"


def _reservation(reservation: Reservation) -> str:
    if reservation.draw is None:
        return _ended(reservation.state, reservation.failure_code)
    draw = reservation.draw
    return f"stake held, nonce {draw.nonce} of seed {draw.seed_id} (server seed sealed)"


def _ended(state: str, failure_code: str | None) -> str:
    return f"{state}: {failure_code}" if failure_code else str(state)
