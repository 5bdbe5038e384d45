"""All cases that concern a wallet seen from outside, with the numbers they have everywhere.

A case asks, expects, and compares the balance before and after; what it finds stays in its trial. Where
docs/platform/wallet.md leaves a wallet free, every safe answer passes.
"""

from collections.abc import Mapping
from typing import Final

from certification.cases import (
    balance,
    bet,
    connection,
    rollback,
    several_bets,
    signature,
    statement,
    transaction_id,
    win,
)

# All stakes of all cases together, and as much again.
MONEY_NEEDED: Final = 1_000

CASES: Final = tuple(
    sorted(
        (
            *signature.CASES,
            *balance.CASES,
            *bet.CASES,
            *win.CASES,
            *rollback.CASES,
            *transaction_id.CASES,
            *several_bets.CASES,
            *connection.CASES,
            *statement.CASES,
        ),
        key=lambda case: case.number,
    )
)

# The numbers that no wallet is asked, and why.
NOT_IN_THE_PROTOCOL: Final = "not part of the protocol"
OUR_SIDE: Final = "Croupier's own side"
ELSEWHERE: Final[Mapping[int, str]] = {
    6: f"{NOT_IN_THE_PROTOCOL}: every call moves one amount, there are no batches",
    27: f"{OUR_SIDE}: whether a session goes on after a refusal; what the wallet does then is part of 7",
    28: f"{OUR_SIDE}: crashes between the steps of a round; what they ask of a wallet is in 10 to 20",
    29: f"{OUR_SIDE}: game clients that lose their connection and return",
    30: f"{OUR_SIDE}: one open round for a player",
    32: f"{OUR_SIDE}: the steps, limits and pace of stakes are checked before a wallet is asked",
    33: f"{OUR_SIDE}: games that are disabled in mid-round",
    35: f"{NOT_IN_THE_PROTOCOL}: there are no free bets; a win by promotion is part of 23",
    36: f"{NOT_IN_THE_PROTOCOL}: there are no jackpots",
    37: f"{OUR_SIDE}: the books of Croupier; with a statement they can be compared with the wallet's",
    38: f"{OUR_SIDE}: replay and seeds",
    39: f"{OUR_SIDE}: what the counters count",
    40: f"{NOT_IN_THE_PROTOCOL}: bet and win are two calls",
}
