"""MoneySteps: everything that moves a round's money, as one protocol with two implementations."""

from typing import ClassVar, Protocol

from contracts.actions import ActionVerdict, ActRequest
from contracts.failures import LEDGER_CONFLICT, WALLET_PENDING, WALLET_RELEASING, WALLET_UNCERTAIN
from contracts.rounds import Bet, OpenRequest, ReleaseRequest, SettleRequest
from contracts.views import RoundView, Settlement


class MoneyFailure(Exception):
    """A step failed. `error_type` is the failure's name in contracts/failures.py, and `final` says that no
    repeat succeeds."""

    error_type: ClassVar[str]
    final: ClassVar[bool] = True


class WalletConflict(MoneyFailure):
    """The request contradicts what is stored."""

    error_type = LEDGER_CONFLICT


class WalletUncertain(MoneyFailure):
    """It is unknown whether an operator's wallet took the stake. The durable path asks once more after the
    fast path; after that only `release` makes certain that the wallet keeps no stake."""

    error_type = WALLET_UNCERTAIN


class WalletReleasing(MoneyFailure):
    """The round is being released, so its win is not sent to the wallet: `release` goes on with it."""

    error_type = WALLET_RELEASING


class WalletPending(MoneyFailure):
    """The decision is stored, and the operator's wallet has not taken it yet: the call is repeated until it
    has. `view` is the round's present state, where there is one."""

    error_type = WALLET_PENDING
    final = False

    def __init__(self, why: str, view: RoundView | None) -> None:
        super().__init__(why)
        self.view = view


class MoneySteps(Protocol):
    """wallet.ledger.LedgerSteps keeps the money in our ledger, wallet.operator.OperatorSteps in an operator's
    own wallet; wallet.router.MoneyRouter knows whose it is.

    Every step answers a repeat with what the first call stored, and the first terminal of a round wins:
    `settle` after a release answers the void round, `release` after a settle the settled one. Errors of the
    database pass through: their outcome is unknown, and the caller repeats the step.

    `within_s` bounds the time in seconds that a step waits for an operator's wallet; None leaves that to the
    wallet's own limits."""

    async def reserve(self, bet: Bet, *, within_s: float | None = None) -> RoundView:
        """Holds `bet.stake`. Returns the round: pending, declined with its `failure_code`, or as it stands.
        Raises WalletConflict for a player, an account or a session that is not there: nothing is stored.
        Raises WalletUncertain."""

    async def open(self, request: OpenRequest) -> RoundView:
        """Records that the round waits for its player: `request.resolution` has an offer. A round that does
        not wait for this step is returned as it stands. Raises WalletConflict when nothing was ever
        reserved."""

    async def act(
        self, request: ActRequest, *, within_s: float | None = None
    ) -> tuple[ActionVerdict, RoundView | None]:
        """Takes an action from the round's offer, once, with what it costs. Returns the verdict and the
        round's state after it, None when there is no such round. Raises WalletPending while it is unknown
        whether the operator's wallet took what the action costs."""

    async def settle(self, request: SettleRequest, *, within_s: float | None = None) -> Settlement:
        """Takes the stake and pays the win: of the result on record where there is one, of
        `request.resolution` otherwise. Raises WalletConflict when nothing was ever reserved, WalletPending
        and WalletReleasing."""

    async def release(self, request: ReleaseRequest) -> RoundView:
        """Releases the stake; a round that was never reserved can no longer be. A round whose result was
        recorded first is returned as it stands: `settling`, unless a manual intervention released it. Then an
        operator's wallet that has taken the win keeps it, and the round is settled. The round keeps the
        reason of the first release. Raises WalletConflict for a player, an account or a session that is not
        there, and WalletPending."""
