"""One round: reserve, resolve, settle, emit. The round waits for its player where the game offers choices,
and releases the stake when a step before settle fails for good or a manual intervention voids it.
"""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from contracts import steps
from contracts.actions import ActResult, PlayerAction
from contracts.choices import OpenRound
from contracts.failures import (
    ABANDONED,
    INVALID_INTERVENTION,
    RESERVE_UNCERTAIN,
    RESOLVE_FAILED,
    ROUND_CANCELLED,
    VOIDED_BY_OPERATOR,
    WALLET_RELEASING,
    bounded,
)
from contracts.interventions import InterveneRequest, Intervention, InterventionResult, InterventionVerdict
from contracts.rounds import (
    Bet,
    EmitRequest,
    OpenRequest,
    PlayResult,
    ReleaseRequest,
    Reservation,
    Resolution,
    ResolveRequest,
    RoundClosed,
    RoundState,
    SettleRequest,
    Terminal,
)
from contracts.steps import ACT_UPDATE, INTERVENE_UPDATE, ROUND_WORKFLOW
from workflows import policies, words
from workflows.choices import Abandoned, Decisions, Ended
from workflows.steps import Wakes, take, take_locally, take_until, take_without_end, uninterrupted


@workflow.defn(name=ROUND_WORKFLOW)
class RoundWorkflow:
    """Guarantees that a reserved stake reaches exactly one terminal, settled or void, and that the
    terminal's event reaches the broker, whatever process dies on the way.

    The fast path takes all steps at once. Where it fails, the durable path takes them one by one from the
    first: every step is repeatable, and answers from what it stored. A cancellation voids the round as long
    as nothing is settled; after that the round goes on to its end, for a result is never taken back.

    A manual intervention may come to an open round (docs/platform/settlement.md). The ledger decides whether
    it is possible. A step that is never given up is then taken again at once, and answers from what the
    ledger has by then.

    A round that its game leaves open waits for its player's actions (workflows/choices.py). Each action is
    taken once. For a player who stays away the round decides as the offer says.
    """

    @workflow.init
    def __init__(self, bet: Bet) -> None:
        self._bet = bet
        self._wakes = Wakes()
        self._interventions_under_way = 0
        self._decisions = Decisions(bet)

    @workflow.update(name=ACT_UPDATE)
    async def act(self, action: PlayerAction) -> ActResult:
        """Fails with ACTION_REFUSED when the round is known to refuse it; a refusal of the ledger is a
        verdict."""
        return await self._decisions.act(action)

    @act.validator
    def _refuse_early(self, action: PlayerAction) -> None:
        self._decisions.refuse_early(action)

    @workflow.update(name=INTERVENE_UPDATE)
    async def intervene(self, intervention: Intervention) -> InterventionResult:
        """Fails when the ledger did not answer in time (policies.INTERVENE); it may have decided all the
        same."""
        request = InterveneRequest(bet=self._bet, intervention=intervention)
        self._interventions_under_way += 1
        try:
            intervened = await take(steps.INTERVENE, request, policies.INTERVENE)
        finally:
            self._interventions_under_way -= 1
        if intervened.verdict is InterventionVerdict.ACCEPTED:
            self._wakes.count += 1
            if intervened.releasing or (intervened.state is not None and intervened.state.final):
                self._decisions.end()
        return intervened

    @intervene.validator
    def _refuse_what_is_no_intervention(self, intervention: Intervention) -> None:
        if problem := intervention.problem():
            raise ApplicationError(problem, type=INVALID_INTERVENTION, non_retryable=True)

    @workflow.run
    async def run(self, bet: Bet) -> RoundClosed:
        # An intervention that restarts a lost round comes first, or the round might end before it.
        if self._interventions_under_way:
            await self._interventions_answered()
        try:
            closed = await self._play(bet)
        except (FailureError, asyncio.CancelledError):
            await self._everybody_answered()
            raise
        await self._everybody_answered()
        return closed

    async def _play(self, bet: Bet) -> RoundClosed:
        """The fast path, and what follows from it."""
        step = steps.PLAY_NAMED if bet.version >= steps.NAMED_STEPS else steps.PLAY
        try:
            played = await take_locally(step, bet)
        except (FailureError, asyncio.CancelledError) as failure:
            if is_cancelled_exception(failure):
                # Any of its steps may have taken effect: the ledger knows, and answers the release.
                return await self._compensate(bet, ROUND_CANCELLED, failure)
            with words.waiting(words.left_the_fast_path(bet, failure)):
                return await self._durable_path(bet)
        if played.open is not None:
            return await self._wait_for_player(bet, played.open)
        return await uninterrupted(self._emit_if_unconfirmed(played))

    async def _durable_path(self, bet: Bet) -> RoundClosed:
        """The durable path: each step as an activity of its own. A step that the fast path has taken answers
        from what it stored."""
        try:
            reservation = await take(steps.RESERVE, bet, policies.RESERVE)
        except (FailureError, asyncio.CancelledError) as failure:
            # The attempt may have held the stake, so the stake is released.
            return await self._compensate(bet, RESERVE_UNCERTAIN, failure)
        if reservation.draw is None:
            return await uninterrupted(self._already_closed(reservation))
        if reservation.state is RoundState.SETTLING:
            return await uninterrupted(self._settle_and_emit(bet, None))
        if reservation.open is not None:
            return await self._wait_for_player(bet, reservation.open)

        request = ResolveRequest(bet=bet, draw=reservation.draw, actions=reservation.actions)
        try:
            resolution = await self._resolve(request)
        except (FailureError, asyncio.CancelledError) as failure:
            # Without an outcome there is nothing to pay, so the stake is released.
            return await self._compensate(bet, RESOLVE_FAILED, failure)
        if resolution is None:
            return await uninterrupted(self._release_and_emit(_voided(bet)))
        if resolution.offer is not None:
            return await self._leave_open(bet, resolution)

        return await uninterrupted(self._settle_and_emit(bet, resolution))

    async def _resolve(self, request: ResolveRequest) -> Resolution | None:
        """Plays the round. Actions that are on record wait for a game that is away, until a manual
        intervention ends the round: then None."""
        if not request.actions:
            return await take(steps.RESOLVE, request, policies.RESOLVE)
        return await take_until(
            steps.RESOLVE, request, policies.RESOLVE_ACTIONS, lambda: self._decisions.ended
        )

    async def _leave_open(self, bet: Bet, resolution: Resolution) -> RoundClosed:
        try:
            opened = await take(steps.OPEN, OpenRequest(bet=bet, resolution=resolution), policies.OPEN)
        except (FailureError, asyncio.CancelledError) as failure:
            # The player cannot be asked, so the round has no final outcome.
            return await self._compensate(bet, RESOLVE_FAILED, failure)
        if opened.open is None:
            # A manual intervention has released the round meanwhile; this release answers with its state.
            return await uninterrupted(self._release_and_emit(_voided(bet)))
        return await self._wait_for_player(bet, opened.open)

    async def _wait_for_player(self, bet: Bet, opened: OpenRound) -> RoundClosed:
        """From the offer to the round's end, action by action."""
        try:
            acted = await self._decisions.until_closed(opened)
        except Ended:
            return await uninterrupted(self._release_and_emit(_voided(bet)))
        except Abandoned:
            released = ReleaseRequest(bet=bet, failure_code=ABANDONED, failure_detail="")
            return await uninterrupted(self._release_and_emit(released))
        except (FailureError, asyncio.CancelledError) as failure:
            # An action that cannot be played leaves no outcome to pay.
            return await self._compensate(bet, RESOLVE_FAILED, failure)
        terminal = Terminal(
            state=acted.state, event_id=acted.unconfirmed_event_id, failure_code=acted.failure_code
        )
        return await uninterrupted(self._emit(bet, terminal))

    async def _emit_if_unconfirmed(self, played: PlayResult) -> RoundClosed:
        if played.unconfirmed_event_id is not None:
            await self._emitted(played.unconfirmed_event_id)
        return RoundClosed(state=played.state, failure_code=played.failure_code, request_id=played.request_id)

    async def _settle_and_emit(self, bet: Bet, resolution: Resolution | None) -> RoundClosed:
        """`resolution` is None when the result is on record already."""
        request = SettleRequest(bet=bet, resolution=resolution)
        try:
            terminal = await take_without_end(steps.SETTLE, request, policies.SETTLE, self._wakes)
        except ActivityError as failure:
            if not _says(failure, WALLET_RELEASING):
                raise
            return await self._release_and_emit(_voided(bet))
        return await self._emit(bet, terminal)

    async def _compensate(self, bet: Bet, failure_code: str, failure: BaseException) -> RoundClosed:
        """Releases the stake, so that the round ends void unless the ledger had closed it, or recorded its
        result, before."""
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
        terminal = await take_without_end(steps.RELEASE, request, policies.RELEASE, self._wakes)
        if terminal.state is RoundState.SETTLING:
            # The result was recorded first, and only a manual intervention may take it back.
            return await self._settle_and_emit(request.bet, None)
        return await self._emit(request.bet, terminal)

    async def _emit(self, bet: Bet, terminal: Terminal) -> RoundClosed:
        if terminal.event_id is not None:
            await self._emitted(terminal.event_id)
        return RoundClosed(
            state=terminal.state, failure_code=terminal.failure_code, request_id=bet.request_id
        )

    async def _already_closed(self, reservation: Reservation) -> RoundClosed:
        """The round was refused, or had come to its end before (its earlier workflow is forgotten)."""
        if reservation.event_id is not None:
            await self._emitted(reservation.event_id)
        return RoundClosed(
            state=reservation.state,
            failure_code=reservation.failure_code,
            request_id=reservation.request_id,
        )

    async def _interventions_answered(self) -> None:
        await uninterrupted(workflow.wait_condition(lambda: self._interventions_under_way == 0))

    async def _everybody_answered(self) -> None:
        """Waits until every update is answered, also one that came at the last moment."""
        self._decisions.end()
        if not workflow.all_handlers_finished():
            await uninterrupted(workflow.wait_condition(workflow.all_handlers_finished))

    async def _emitted(self, event_id: str) -> None:
        await take_without_end(steps.EMIT, EmitRequest(event_id=event_id), policies.EMIT, self._wakes)


def _voided(bet: Bet) -> ReleaseRequest:
    """The release of a manual intervention, whose reason the ledger has."""
    return ReleaseRequest(bet=bet, failure_code=VOIDED_BY_OPERATOR, failure_detail="")


def _says(failure: ActivityError, error_type: str) -> bool:
    return isinstance(failure.cause, ApplicationError) and failure.cause.type == error_type


def _reason(failure: BaseException) -> str:
    """The innermost cause that says something, bounded, for readers of the history."""
    cause = failure.cause if isinstance(failure, ActivityError) and failure.cause else failure
    if isinstance(cause, ApplicationError):
        return bounded(f"{cause.type}: {cause.message}")
    return bounded(str(cause))
