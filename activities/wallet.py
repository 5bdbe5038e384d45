"""The steps that move money: reserve, settle, release. Each is one call of the wallet and may be repeated."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from temporalio import activity
from temporalio.exceptions import ApplicationError

from contracts import steps
from contracts.actions import ActionVerdict, ActRequest
from contracts.events import RecordedEvent
from contracts.failures import (
    ID_REUSED,
    LEDGER_CONFLICT,
    SESSION_EXPIRED,
    WALLET_PENDING,
    WALLET_RELEASING,
    WALLET_UNCERTAIN,
    bounded,
)
from contracts.rounds import (
    Bet,
    DrawReference,
    Opened,
    OpenRequest,
    ReleaseRequest,
    Reservation,
    RoundState,
    SettleRequest,
    Terminal,
)
from contracts.views import RoundView
from wallet.interface import Wallet, WalletConflict, WalletPending, WalletReleasing, WalletUncertain

# How long operators' wallets may take altogether while a round is played in one go: the rest of
# policies.IN_ONE_GO_LIMIT is left to record what came of it.
IN_ONE_GO_S: Final = 1.5


class WalletSteps:
    """`deliver` hands a closed round to whoever waits for it in this process; it is called after the
    commit, so nobody hears of a result that could still be lost."""

    def __init__(self, wallet: Wallet, deliver: Callable[[RoundView], None]) -> None:
        self._wallet = wallet
        self._deliver = deliver

    @activity.defn(name=steps.RESERVE.name)
    async def reserve(self, bet: Bet) -> Reservation:
        try:
            view = await self._wallet.reserve(bet, within_s=_within_s())
        except WalletUncertain as uncertain:
            # From the one go the workflow asks once more; as a step of its own it is final, and the round is
            # released.
            raise ApplicationError(
                bounded(str(uncertain)), type=WALLET_UNCERTAIN, non_retryable=True
            ) from None
        except WalletConflict:
            # A genuine token of a session that this database does not know (it is another, or an older
            # copy): no row could be stored, so the history alone says that the bet was declined.
            return Reservation(
                state=RoundState.DECLINED, failure_code=SESSION_EXPIRED, request_id=bet.request_id
            )
        if not view.answers(bet):
            self._deliver(view)
            return Reservation(state=RoundState.DECLINED, failure_code=ID_REUSED, request_id=view.request_id)
        if view.state.final or view.open is not None:
            self._deliver(view)
        return _reservation(view)

    @activity.defn(name=steps.SETTLE.name)
    async def settle(self, request: SettleRequest) -> Terminal:
        terminal, _ = await self.settle_with_event(request)
        return terminal

    async def settle_with_event(self, request: SettleRequest) -> tuple[Terminal, RecordedEvent | None]:
        """The terminal, and its event when this very call closed the round."""
        try:
            settled = await self._wallet.settle(request.bet, request.resolution, within_s=_within_s())
        except WalletConflict as conflict:
            raise _final(conflict) from None
        except WalletReleasing as releasing:
            raise ApplicationError(
                bounded(str(releasing)), type=WALLET_RELEASING, non_retryable=True
            ) from None
        except WalletPending as pending:
            raise self._pending(pending) from None
        self._deliver(settled.view)
        return _terminal(settled.view), settled.event

    @activity.defn(name=steps.OPEN.name)
    async def open(self, request: OpenRequest) -> Opened:
        try:
            view = await self._wallet.open(request.bet, request.resolution)
        except WalletConflict as conflict:
            raise _final(conflict) from None
        self._deliver(view)
        return Opened(open=view.open)

    async def act(self, request: ActRequest) -> tuple[ActionVerdict, Reservation | None]:
        """What the ledger made of an action, and the round after it."""
        verdict, view = await self._wallet.act(request.bet, request.action)
        return verdict, None if view is None else _reservation(view)

    @activity.defn(name=steps.RELEASE.name)
    async def release(self, request: ReleaseRequest) -> Terminal:
        try:
            view = await self._wallet.release(
                request.bet, failure_code=request.failure_code, failure_detail=request.failure_detail
            )
        except WalletConflict as conflict:
            raise _final(conflict) from None
        except WalletPending as pending:
            raise self._pending(pending) from None
        self._deliver(view)
        return _terminal(view)

    def _pending(self, pending: WalletPending) -> ApplicationError:
        """The step is repeated without end; whoever waits for the round hears once how it stands."""
        if pending.view is not None and activity.info().attempt == 1:
            self._deliver(pending.view)
        return ApplicationError(bounded(str(pending)), type=WALLET_PENDING)


def _within_s() -> float | None:
    """What is left of the time for operators' wallets in a round's one go; None for a step of its own."""
    info = activity.info()
    if not info.is_local:
        return None
    left_s = IN_ONE_GO_S - (datetime.now(UTC) - info.started_time).total_seconds()
    return max(left_s, 0)


def _final(conflict: WalletConflict) -> ApplicationError:
    """No retry can mend it, so the workflow fails, for a person to look at."""
    return ApplicationError(bounded(str(conflict)), type=LEDGER_CONFLICT, non_retryable=True)


def _reservation(view: RoundView) -> Reservation:
    """How the steps after `reserve` find a round that is stored."""
    return Reservation(
        state=view.state,
        actions=view.chosen,
        open=view.open,
        draw=None if view.state.final else _draw(view),
        failure_code=view.failure_code,
        event_id=_to_emit(view),
        request_id=view.request_id,
    )


def _draw(view: RoundView) -> DrawReference:
    assert view.seed_id is not None
    assert view.sealed_server_seed is not None
    assert view.client_seed is not None
    assert view.nonce is not None
    return DrawReference(
        seed_id=view.seed_id,
        sealed_server_seed=view.sealed_server_seed,
        client_seed=view.client_seed,
        nonce=view.nonce,
    )


def _terminal(view: RoundView) -> Terminal:
    return Terminal(state=view.state, event_id=_to_emit(view), failure_code=view.failure_code)


def _to_emit(view: RoundView) -> str | None:
    """The event that the round's own workflow publishes. That of a declined bet is the relay's."""
    return view.event_id if view.state in (RoundState.SETTLED, RoundState.VOID) else None
