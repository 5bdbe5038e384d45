"""What a round needs of a wallet: hold a stake, settle it, give it back. Each call may be repeated."""

from typing import Protocol

from contracts.actions import ActionVerdict, PlayerAction
from contracts.rounds import Bet, Resolution
from contracts.views import RoundView, Settlement


class WalletConflict(Exception):
    """The request contradicts what is stored, so no repeat can mend it."""


class WalletUncertain(Exception):
    """Nobody knows whether an operator's wallet took the stake. One repeat may tell; after that only
    `release` makes it certain that it has not."""


class WalletReleasing(Exception):
    """The round is on its way to void, so its win is not told: `release` goes on with it."""


class WalletPending(Exception):
    """What was decided is stored, and the operator's wallet has not taken it yet: repeat the call until it
    has. `view` is the round as it stands, where there is one."""

    def __init__(self, why: str, view: RoundView | None) -> None:
        super().__init__(why)
        self.view = view


class Wallet(Protocol):
    """Every call answers a repeat with what the first one stored, and the first terminal of a round wins:
    `settle` after a release answers the void round, `release` after a settle the settled one.

    `within_s` bounds the time in seconds that a call waits for an operator's wallet; None leaves that to the
    wallet's own limits."""

    async def reserve(self, bet: Bet, *, within_s: float | None = None) -> RoundView:
        """Holds `bet.stake`; or a declined round with its `failure_code`; or the round as it stands.
        Raises WalletConflict for a player, an account or a session that is not there: nothing is stored.
        Raises WalletUncertain."""

    async def settle(
        self, bet: Bet, resolution: Resolution | None, *, within_s: float | None = None
    ) -> Settlement:
        """Takes the stake and pays the win: of the result on record where there is one, of `resolution`
        otherwise. Raises WalletConflict when nothing was ever reserved, WalletPending and
        WalletReleasing."""

    async def open(self, bet: Bet, resolution: Resolution) -> RoundView:
        """Puts on record that the round waits for its player: `resolution` has an offer. A round that is not
        waiting for this step is answered as it stands. Raises WalletConflict when nothing was ever
        reserved."""

    async def act(self, bet: Bet, action: PlayerAction) -> tuple[ActionVerdict, RoundView | None]:
        """Takes an action from the round's offer, once, with what it costs; the round as it stands after it,
        None when there is no such round."""

    async def release(self, bet: Bet, *, failure_code: str, failure_detail: str) -> RoundView:
        """Gives the stake back; what was never reserved can no longer be. A round whose result was recorded
        first is answered as it stands: `settling`, unless a person decided to release it. Then an operator's
        wallet that has taken the win keeps it, and the round is settled. The reason of the first decision to
        release is the round's. Raises WalletConflict for a player, an account or a session that is not
        there, and WalletPending."""
