"""What a decision about a round would do, and the postings that it would make, before it is made."""

from dataclasses import dataclass
from typing import Final

from contracts.interventions import Action
from contracts.views import RoundView

TITLES: Final = {
    Action.RETRY_NOW: "Retry now",
    Action.PAID_OUTSIDE: "Paid outside",
    Action.REFUNDED_OUTSIDE: "Refunded outside",
    Action.VOID: "Void",
}
WHEN: Final = {
    Action.RETRY_NOW: "The wallet is back, and nobody wants to wait for the pause.",
    Action.PAID_OUTSIDE: "You have booked the recorded win for the player by other means.",
    Action.REFUNDED_OUTSIDE: "You have paid the stake back to the player by other means.",
    Action.VOID: "The round shall not count.",
}


@dataclass(frozen=True, slots=True)
class Posting:
    """An amount in minor units from one account to another; None is as much as the record says by then."""

    kind: str
    debit: str
    credit: str
    amount: int | None


@dataclass(frozen=True, slots=True)
class Preview:
    does: str
    postings: list[Posting]


def preview(view: RoundView, action: Action, *, at_wallet: bool) -> Preview:
    """As the ledger stands now: the round may go on by itself meanwhile, and then the ledger refuses."""
    returned = [Posting("returned", "player", "wallet", view.staked)]
    match action:
        case Action.RETRY_NOW:
            return Preview("The step that waits is taken at once. The decision itself posts nothing.", [])
        case Action.PAID_OUTSIDE:
            paid = [
                Posting("stake", "player", "house", view.staked),
                Posting("win", "house", "player", view.win),
                Posting("paid", "player", "wallet", view.win),
            ]
            posted = [one for one in paid if one.amount != 0]  # as the ledger does
            return Preview(
                "The round is settled with the win on record. The wallet is not asked again.", posted
            )
        case Action.REFUNDED_OUTSIDE:
            return Preview("The round is void. The wallet is not asked again.", returned)
    if at_wallet:
        return Preview(
            "The wallet is asked to roll the bet back until that is certain; then the round is void,"
            " with these postings. If the wallet has taken the win already, the round is settled instead.",
            returned if not view.begun_only else [],
        )
    return Preview(
        "The hold is released, and the round is void: the player has the stake again. A hold is no posting,"
        " so there is none.",
        [],
    )
