"""One round: reserve, resolve, settle, emit, in one go; step by step when that does not come off; and
release when a step before settle fails for good.
"""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from contracts import steps
from contracts.failures import RESERVE_UNCERTAIN, RESOLVE_FAILED, ROUND_CANCELLED, bounded
from contracts.rounds import (
    Bet,
    DrawReference,
    EmitRequest,
    Played,
    ReleaseRequest,
    Reservation,
    Resolution,
    ResolveRequest,
    RoundClosed,
    RoundState,
    SettleRequest,
    Terminal,
)
from contracts.steps import ROUND_WORKFLOW
from workflows import policies
from workflows.steps import take, uninterrupted


@workflow.defn(name=ROUND_WORKFLOW)
class RoundWorkflow:
    """Guarantees that a reserved stake reaches exactly one terminal, settled or void, and that the
    terminal's event reaches the broker, whatever process dies on the way.

    Every step is repeatable: it answers from what it stored. So a round whose one go failed anywhere is
    simply begun again step by step. A cancellation voids the round as long as nothing is settled; after
    that the round goes on to its end, for a result is never taken back.
    """

    @workflow.run
    async def run(self, bet: Bet) -> RoundClosed:
        try:
            played = await self._in_one_go(bet)
        except (FailureError, asyncio.CancelledError) as failure:
            if is_cancelled_exception(failure):
                return await self._void(bet, ROUND_CANCELLED, failure)
            return await self._step_by_step(bet)
        return await uninterrupted(self._emit_if_unconfirmed(played))

    async def _in_one_go(self, bet: Bet) -> Played:
        played: Played = await workflow.execute_local_activity(
            steps.PLAY.name,
            bet,
            result_type=steps.PLAY.result_type,
            schedule_to_close_timeout=policies.IN_ONE_GO_LIMIT,
            retry_policy=policies.ONE_ATTEMPT,
        )
        return played

    async def _emit_if_unconfirmed(self, played: Played) -> RoundClosed:
        if played.unconfirmed_event_id is not None:
            await take(steps.EMIT, EmitRequest(event_id=played.unconfirmed_event_id), policies.EMIT)
        return RoundClosed(state=played.state, failure_code=played.failure_code, request_id=played.request_id)

    async def _step_by_step(self, bet: Bet) -> RoundClosed:
        try:
            reservation = await take(steps.RESERVE, bet, policies.RESERVE)
        except (FailureError, asyncio.CancelledError) as failure:
            # It may have held the stake all the same: nobody knows, so it is released.
            return await self._void(bet, RESERVE_UNCERTAIN, failure)
        if reservation.draw is None:
            return await uninterrupted(self._already_closed(reservation))
        if reservation.state is RoundState.SETTLING:
            return await uninterrupted(self._settle_and_emit(bet, None))

        try:
            resolution = await self._resolve(bet, reservation.draw)
        except (FailureError, asyncio.CancelledError) as failure:
            return await self._void(bet, RESOLVE_FAILED, failure)

        return await uninterrupted(self._settle_and_emit(bet, resolution))

    async def _resolve(self, bet: Bet, draw: DrawReference) -> Resolution:
        return await take(steps.RESOLVE, ResolveRequest(bet=bet, draw=draw), policies.RESOLVE)

    async def _settle_and_emit(self, bet: Bet, resolution: Resolution | None) -> RoundClosed:
        """`resolution` is None when the result is on record already."""
        request = SettleRequest(bet=bet, resolution=resolution)
        terminal = await take(steps.SETTLE, request, policies.SETTLE)
        return await self._emit(bet, terminal)

    async def _void(self, bet: Bet, failure_code: str, failure: BaseException) -> RoundClosed:
        cancelled = is_cancelled_exception(failure)
        request = ReleaseRequest(
            bet=bet,
            failure_code=ROUND_CANCELLED if cancelled else failure_code,
            failure_detail="" if cancelled else _reason(failure),
        )
        closed = await uninterrupted(self._release_and_emit(request))
        if cancelled and closed.state is RoundState.VOID:
            raise failure  # the history then says that the round was cancelled, and that it was voided
        return closed

    async def _release_and_emit(self, request: ReleaseRequest) -> RoundClosed:
        terminal = await take(steps.RELEASE, request, policies.RELEASE)
        if terminal.state is RoundState.SETTLING:
            # The result was recorded first, and a result is never taken back.
            return await self._settle_and_emit(request.bet, None)
        return await self._emit(request.bet, terminal)

    async def _emit(self, bet: Bet, terminal: Terminal) -> RoundClosed:
        if terminal.event_id is not None:
            await take(steps.EMIT, EmitRequest(event_id=terminal.event_id), policies.EMIT)
        return RoundClosed(
            state=terminal.state, failure_code=terminal.failure_code, request_id=bet.request_id
        )

    async def _already_closed(self, reservation: Reservation) -> RoundClosed:
        """The round was refused, or had come to its end before (its earlier workflow is forgotten)."""
        if reservation.event_id is not None:
            await take(steps.EMIT, EmitRequest(event_id=reservation.event_id), policies.EMIT)
        return RoundClosed(
            state=reservation.state,
            failure_code=reservation.failure_code,
            request_id=reservation.request_id,
        )


def _reason(failure: BaseException) -> str:
    """The innermost cause that says something, bounded; for the person who reads the history."""
    cause = failure.cause if isinstance(failure, ActivityError) and failure.cause else failure
    if isinstance(cause, ApplicationError):
        return bounded(f"{cause.type}: {cause.message}")
    return bounded(str(cause))
