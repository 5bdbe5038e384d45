"""What rounds are found by in Temporal: the attributes and the summary that a round's workflow starts with.

Attributes are not encrypted, so they hold opaque ids and bounded words only: no player's name, no exact
stake. Summaries are sealed.
"""

from itertools import pairwise
from typing import Final

from contracts.failures import one_line
from contracts.rounds import Bet
from contracts.sessions import DEMO, REAL

# Each is of the type Keyword. The prefix keeps them apart from those of others in the namespace.
OPERATOR: Final = "CroupierOperator"
GAME: Final = "CroupierGame"
PLAYER: Final = "CroupierPlayer"  # security.player_ids has it
MODE: Final = "CroupierMode"  # the game's bet mode
STAKE: Final = "CroupierStake"  # a band, such as EUR 100-199 in minor units
KIND: Final = "CroupierKind"  # real or demo
ATTRIBUTES: Final = (OPERATOR, GAME, PLAYER, MODE, STAKE, KIND)
# A query that finds nothing, and is refused where one of them is not known, as a start with it would be.
KNOWN: Final = " AND ".join(f'{name} = "-"' for name in ATTRIBUTES)

# Temporal takes 400 bytes of a summary, and sealing one adds up to 190.
SUMMARY_BYTES: Final = 100

_STEPS: Final = (1, 2, 5, 10)


def stake_band(stake: int, currency: str) -> str:
    """The band that a stake in minor units is in, on the ladder 1, 2, 5, 10, 20, ...: 100 to 199 EUR are
    `EUR 100-199`."""
    if stake <= 0:
        return f"{currency} 0"
    unit = 10 ** (len(str(stake)) - 1)
    below, above = next((low, high) for low, high in pairwise(_STEPS) if stake < high * unit)
    last = above * unit - 1
    return f"{currency} {last}" if last == below * unit else f"{currency} {below * unit}-{last}"


def kind(bet: Bet) -> str:
    """Whose money it is: `real` or `demo`."""
    return DEMO if bet.demo else REAL


def summary(bet: Bet) -> str:
    """The bet in one line, as lists of workflows show it."""
    demo = ", demo" if bet.demo else ""
    return short(f"{bet.stake} {bet.currency} at {bet.game_id} {bet.game_version}, {bet.mode}{demo}")


def short(text: str) -> str:
    """One line of at most SUMMARY_BYTES."""
    return one_line(text).encode()[:SUMMARY_BYTES].decode(errors="ignore")
