"""A certification case, and the words that several cases share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from certification.trial import Trial
from contracts.wallet import WalletRefusal

BAD_SIGNATURE: Final = WalletRefusal.BAD_SIGNATURE.value
ID_REUSED: Final = WalletRefusal.ID_REUSED.value
INVALID: Final = WalletRefusal.INVALID.value
NO_FUNDS: Final = WalletRefusal.INSUFFICIENT_FUNDS.value
ROLLED_BACK: Final = WalletRefusal.ROLLED_BACK.value
ALREADY_WON: Final = WalletRefusal.ALREADY_WON.value

# Some of these hang up before the wallet can have read the call, some after.
HANG_UP_AFTER_S: Final = (0.0005, 0.002, 0.005, 0.02)
# For a call that was abandoned to arrive late.
LATE_S: Final = 0.1

ONE_EFFECT: Final = (
    "Let a unique key on the transaction id decide inside the transaction that moves the money, so that"
    " nothing is checked first and written later; answer a repeat from what was stored."
)
ONE_END: Final = (
    "Keep one row that ends a bet, under a unique key of the bet's id; whichever of win and rollback finds it"
    " there is refused."
)
CHECK_FIRST: Final = (
    "Check time and signature over the bytes of the body as they came, before anything of it is read."
)
READ_STRICTLY: Final = "Read amounts as integers from 0 up, and refuse everything else with 422 invalid."
KEEP_TOMBSTONES: Final = (
    "Remember the rollback of a bet that never came, and look for it when the bet comes, in the same"
    " transaction."
)


@dataclass(frozen=True, slots=True)
class Case:
    """`asks` is what is asked of the wallet, `remedy` what to do when it does not hold. `two_players` cases
    need the other player, `several_bets` cases a wallet that takes several bets of one round."""

    number: int
    title: str
    asks: str
    remedy: str
    ask: Callable[[Trial], Awaitable[None]]
    two_players: bool = False
    several_bets: bool = False
