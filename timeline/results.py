"""What steps and workflows returned, in one short line each."""

from datetime import datetime, timedelta

from contracts.failures import one_line
from contracts.rounds import Bet, PlayResult, Reservation, Resolution, RoundClosed, Terminal
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


def steps_of(played: PlayResult, began: datetime) -> tuple[Entry, ...]:
    """The steps inside the fast path, one after the other from its beginning."""
    entries, at = [], began
    for step, took_us in played.took_us.items():
        entries.append(Entry(at, Source.STEP, f"{step} in {took_us / 1000:.1f} ms"))
        at += timedelta(microseconds=took_us)
    return tuple(entries)


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
