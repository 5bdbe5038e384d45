"""What a round needs of a wallet: hold a stake, settle it, give it back. Each call may be repeated."""

from typing import Protocol

from contracts.rounds import Bet, Resolution
from contracts.views import RoundView, Settlement


class WalletConflict(Exception):
    """The request contradicts what is stored, so no repeat can mend it."""


class Wallet(Protocol):
    """Every call answers a repeat with what the first one stored, and the first terminal of a round wins:
    `settle` after a release answers the void round, `release` after a settle the settled one."""

    async def reserve(self, bet: Bet) -> RoundView:
        """Holds `bet.stake`; or a declined round with its `failure_code`; or the round as it stands.
        Raises WalletConflict for a player, an account or a session that is not there: nothing is stored."""

    async def settle(self, bet: Bet, resolution: Resolution) -> Settlement:
        """Takes the stake and pays the win. Raises WalletConflict when nothing was ever reserved."""

    async def release(self, bet: Bet, *, failure_code: str, failure_detail: str) -> RoundView:
        """Gives the stake back; what was never reserved can no longer be. Raises WalletConflict for a
        player, an account or a session that is not there."""
