"""The steps that move money, as activities: each is one step of MoneySteps and may be repeated."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError

from contracts import steps
from contracts.actions import ActionVerdict, ActRequest
from contracts.failures import ID_REUSED, SESSION_EXPIRED, bounded
from contracts.rounds import (
    Bet,
    OpenRequest,
    OpenResult,
    ReleaseRequest,
    Reservation,
    RoundState,
    SettleRequest,
    Terminal,
)
from contracts.views import RoundView, Settlement
from wallet.router import MoneyRouter
from wallet.steps import MoneyFailure, WalletConflict, WalletPending

# How long operators' wallets may take altogether on a round's fast path: the rest of
# policies.FAST_PATH_LIMIT is left to record the result.
FAST_PATH_WALLETS_S: Final = 1.5


class MoneyActivities:
    """Takes each step where the round's money is kept, and translates its result for the workflow. The fast
    path calls the same methods (activities/play.py).

    `deliver` hands a round to the result waiter of this process. It is called after the commit, so no client
    gets a result that could still be lost."""

    def __init__(self, money: MoneyRouter, deliver: Callable[[RoundView], None]) -> None:
        self._money = money
        self._deliver = deliver

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.reserve, self.open, self.settle, self.release]

    @activity.defn(name=steps.RESERVE.name)
    async def reserve(self, bet: Bet) -> Reservation:
        try:
            view = await self._money.of(bet).reserve(bet, within_s=_within_s())
        except WalletConflict:
            # A genuine token of a session that this database does not know (it is another, or an older
            # copy): no row could be stored, so the history alone says that the bet was declined.
            return Reservation(
                state=RoundState.DECLINED, failure_code=SESSION_EXPIRED, request_id=bet.request_id
            )
        except MoneyFailure as failure:
            raise self._failed(failure) from None
        if not view.answers(bet):
            self._deliver(view)
            return Reservation(state=RoundState.DECLINED, failure_code=ID_REUSED, request_id=view.request_id)
        if view.state.final or view.open is not None:
            self._deliver(view)
        return _reservation(view)

    @activity.defn(name=steps.OPEN.name)
    async def open(self, request: OpenRequest) -> OpenResult:
        try:
            view = await self._money.of(request.bet).open(request)
        except MoneyFailure as failure:
            raise self._failed(failure) from None
        self._deliver(view)
        return OpenResult(open=view.open)

    async def take_action(self, request: ActRequest) -> tuple[ActionVerdict, Reservation | None]:
        """Returns an action's verdict, and the round after it. This is no activity of its own:
        PlayActivities.act plays on from it."""
        try:
            verdict, view = await self._money.of(request.bet).act(request, within_s=_within_s())
        except MoneyFailure as failure:
            raise self._failed(failure) from None
        return verdict, None if view is None else _reservation(view)

    @activity.defn(name=steps.SETTLE.name)
    async def settle(self, request: SettleRequest) -> Terminal:
        return terminal((await self.settle_now(request)).view)

    async def settle_now(self, request: SettleRequest) -> Settlement:
        """The round as it was closed, and its event when this very call closed it."""
        try:
            settled = await self._money.of(request.bet).settle(request, within_s=_within_s())
        except MoneyFailure as failure:
            raise self._failed(failure) from None
        self._deliver(settled.view)
        return settled

    @activity.defn(name=steps.RELEASE.name)
    async def release(self, request: ReleaseRequest) -> Terminal:
        try:
            view = await self._money.of(request.bet).release(request)
        except MoneyFailure as failure:
            raise self._failed(failure) from None
        self._deliver(view)
        return terminal(view)

    def _failed(self, failure: MoneyFailure) -> ApplicationError:
        """The error that contracts/failures.py names. The first failure of a step that is repeated without
        end delivers the round's state to its waiter."""
        if isinstance(failure, WalletPending) and failure.view is not None and activity.info().attempt == 1:
            self._deliver(failure.view)
        return ApplicationError(bounded(str(failure)), type=failure.error_type, non_retryable=failure.final)


def _within_s() -> float | None:
    """The seconds that operators' wallets may still take on the fast path; None on the durable path."""
    info = activity.info()
    if not info.is_local:
        return None
    left_s = FAST_PATH_WALLETS_S - (datetime.now(UTC) - info.started_time).total_seconds()
    return max(left_s, 0)


def _reservation(view: RoundView) -> Reservation:
    """A stored round as the steps after `reserve` need it."""
    return Reservation(
        state=view.state,
        actions=view.chosen,
        open=view.open,
        draw=view.draw,
        failure_code=view.failure_code,
        event_id=_to_emit(view),
        request_id=view.request_id,
    )


def terminal(view: RoundView) -> Terminal:
    """How the ledger closed the round."""
    return Terminal(state=view.state, event_id=_to_emit(view), failure_code=view.failure_code)


def _to_emit(view: RoundView) -> str | None:
    """The event that the round's own workflow publishes. That of a declined bet is the relay's."""
    return view.event_id if view.state in (RoundState.SETTLED, RoundState.VOID) else None
