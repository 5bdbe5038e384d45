"""What each step of the fast path did, in a few words for whoever reads the round's history."""

import hashlib
from typing import Any, Final

import msgspec

from contracts.actions import ActionVerdict, PlayerAction
from contracts.choices import Offer, OpenRound
from contracts.failures import one_line
from contracts.rounds import Bet, Reservation, Resolution, RoundState
from contracts.views import RoundView

# Of the outcome's SHA-256, in hex: enough to tell two outcomes apart.
DIGEST_CHARACTERS: Final = 16


def reserved(bet: Bet, reservation: Reservation) -> str:
    """The hold, or why there is none."""
    if reservation.draw is None:
        return _state(reservation.state, reservation.failure_code)
    if reservation.open is not None:
        return f"found as it was left: {_waits(reservation.open.offer)}"
    if reservation.state is RoundState.SETTLING:
        return "found with its result on record"
    draw = reservation.draw
    return f"held {bet.stake} {bet.currency}, nonce {draw.nonce} of seed {draw.seed_id}"


def resolved(bet: Bet, resolution: Resolution) -> str:
    """The win and the outcome's digest: what the ledger stores can be compared with it."""
    what = f"win {resolution.win} {bet.currency}, outcome sha256:{digest(resolution.outcome)}"
    return what if resolution.offer is None else f"{what}, and an offer"


def settled(view: RoundView) -> str:
    """The transfers, and the event that was recorded with them."""
    if view.state is not RoundState.SETTLED:
        return _state(view.state, view.failure_code)
    moved = f"{view.staked} {view.currency} from player to house"
    if view.win:
        moved += f", {view.win} {view.currency} from house to player"
    return moved if view.event_id is None else f"{moved}, event {view.event_id}"


def emitted(event_id: str, *, confirmed: bool) -> str:
    return f"event {event_id} {'confirmed by the broker' if confirmed else 'not confirmed yet'}"


def opened(open_round: OpenRound | None) -> str:
    return "the round had ended before" if open_round is None else _waits(open_round.offer)


def acted(action: PlayerAction, verdict: ActionVerdict) -> str:
    params = f" {msgspec.json.encode(action.chosen.params).decode()}" if action.chosen.params else ""
    return one_line(f"{action.chosen.action}{params} by the {action.by}: {verdict}")


def digest(outcome: dict[str, Any]) -> str:
    """Of the outcome's JSON with sorted keys and no spaces: `jq -jcS .outcome | sha256sum` begins so."""
    document = msgspec.json.encode(outcome, order="sorted")
    return hashlib.sha256(document).hexdigest()[:DIGEST_CHARACTERS]


def _waits(offer: Offer) -> str:
    return f"waits for the player: {', '.join(choice.action for choice in offer.choices)}"


def _state(state: RoundState, failure_code: str | None) -> str:
    return f"{state}: {failure_code}" if failure_code else str(state)
