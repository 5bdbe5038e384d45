"""The fast path of a round: reserve, resolve, settle, emit, one after the other in this process. The fast
path of a player's action goes from the ledger's acceptance to the round's end or its next offer.

Temporal records the steps of one workflow task together when that task completes, whether they were one local
activity or four. A crash before it runs all of them again, and each answers from what it stored. Four local
activities would be no more durable, and each would cost another pass through the workflow.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from temporalio import activity

from activities import step_words as words
from activities.money import MoneyActivities, terminal
from contracts import steps
from contracts.actions import ActRequest, ActResult
from contracts.choices import OpenRound
from contracts.events import RecordedEvent
from contracts.rounds import (
    Bet,
    OpenRequest,
    PlayResult,
    Reservation,
    Resolution,
    ResolveRequest,
    RoundKey,
    RoundState,
    SettleRequest,
    StepTaken,
)
from contracts.steps import Step

T = TypeVar("T")

log = logging.getLogger(__name__)


class PlayActivities:
    """`resolve` is GameActivities', `emit` publishes an event that was recorded a moment ago. `observe` gets
    the name of every step that was taken, and how many microseconds it took; `left` the round whose fast path
    has failed, and which any worker may bring to its end from now on."""

    def __init__(
        self,
        money: MoneyActivities,
        resolve: Callable[[ResolveRequest], Awaitable[Resolution]],
        emit: Callable[[RecordedEvent], Awaitable[None]],
        observe: Callable[[str, int], None],
        left: Callable[[RoundKey], None] = lambda key: None,
    ) -> None:
        self._money, self._resolve, self._emit_now, self._observe = money, resolve, emit, observe
        self._left = left

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.play, self.play_named, self.act]

    @activity.defn(name=steps.PLAY.name)
    async def play(self, bet: Bet) -> PlayResult:
        """Raises what a step up to settle raises: the workflow then takes the durable path."""
        try:
            return await self._play(bet)
        except BaseException:  # also its cancellation, when its time is over
            self._left(bet.key)
            raise

    @activity.defn(name=steps.PLAY_NAMED.name)
    async def play_named(self, bet: Bet) -> PlayResult:
        """The same for bets of steps.NAMED_STEPS."""
        return await self.play(bet)

    async def _play(self, bet: Bet) -> PlayResult:
        watch = _Stopwatch(self._observe)
        reservation = await watch.time(steps.RESERVE, self._money.reserve(bet), partial(words.reserved, bet))
        if reservation.draw is None:
            return _closed_before(reservation, watch.steps)
        if reservation.open is not None:
            return PlayResult(state=reservation.state, open=reservation.open, steps=watch.steps)
        reached = await self._go_on(bet, reservation, watch)
        return PlayResult(
            state=reached.state,
            failure_code=reached.failure_code,
            request_id=bet.request_id,
            unconfirmed_event_id=reached.unconfirmed_event_id,
            open=reached.open,
            steps=watch.steps,
        )

    @activity.defn(name=steps.ACT.name)
    async def act(self, request: ActRequest) -> ActResult:
        """Raises what a step up to settle raises. The action may be on record then: a repeat goes on from
        it."""
        watch = _Stopwatch(self._observe)
        verdict, standing = await watch.time(
            steps.ACT, self._money.take_action(request), lambda taken: words.acted(request.action, taken[0])
        )
        if standing is None:
            return ActResult(verdict=verdict, state=RoundState.PENDING, steps=watch.steps)
        if not verdict.counts or standing.state.final or standing.open is not None:
            return ActResult(
                verdict=verdict,
                state=standing.state,
                open=standing.open,
                failure_code=standing.failure_code,
                unconfirmed_event_id=standing.event_id,
                steps=watch.steps,
            )
        reached = await self._go_on(request.bet, standing, watch)
        return ActResult(
            verdict=verdict,
            state=reached.state,
            open=reached.open,
            failure_code=reached.failure_code,
            unconfirmed_event_id=reached.unconfirmed_event_id,
            steps=watch.steps,
        )

    async def _go_on(self, bet: Bet, reservation: Reservation, watch: "_Stopwatch") -> "_Reached":
        """Takes a pending round to its end or its next offer."""
        resolution = None
        if reservation.state is not RoundState.SETTLING:  # else the result is on record already
            assert reservation.draw is not None, "an open round has its draw"
            request = ResolveRequest(bet=bet, draw=reservation.draw, actions=reservation.actions)
            resolution = await watch.time(steps.RESOLVE, self._resolve(request), partial(words.resolved, bet))
            if resolution.offer is not None:
                return await self._open(bet, resolution, watch)
        settle = self._money.settle_now(SettleRequest(bet=bet, resolution=resolution))
        settled = await watch.time(steps.SETTLE, settle, lambda now: words.settled(now.view))
        ended = terminal(settled.view)
        confirmed = settled.event is not None and await self._emit(settled.event, watch)
        return _Reached(ended.state, ended.failure_code, None if confirmed else ended.event_id)

    async def _open(self, bet: Bet, resolution: Resolution, watch: "_Stopwatch") -> "_Reached":
        request = OpenRequest(bet=bet, resolution=resolution)
        opened = await watch.time(steps.OPEN, self._money.open(request), lambda now: words.opened(now.open))
        if opened.open is None:
            # It was released meanwhile, or its player has acted: a repeat finds its state.
            raise ValueError("the round does not wait for this step any more")
        return _Reached(RoundState.AWAITING_CHOICE, open=opened.open)

    async def _emit(self, event: RecordedEvent, watch: "_Stopwatch") -> bool:
        emitted = partial(words.emitted, event.event_id)
        return await watch.time(steps.EMIT, self._confirmed(event), lambda now: emitted(confirmed=now))

    async def _confirmed(self, event: RecordedEvent) -> bool:
        try:
            await self._emit_now(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the round is settled and emit goes on
            log.debug("event %s takes the durable path: %s", event.event_id, type(error).__name__)
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Reached:
    """How far a round came: to its end, with the event that the broker has not confirmed yet, or to an
    offer."""

    state: RoundState
    failure_code: str | None = None
    unconfirmed_event_id: str | None = None
    open: OpenRound | None = None


class _Stopwatch:
    """Keeps of each step when it began, how long it took and what it did."""

    def __init__(self, observe: Callable[[str, int], None]) -> None:
        self._observe = observe
        self.steps: list[StepTaken] = []

    async def time(self, step: Step[Any, Any], taking: Awaitable[T], say: Callable[[T], str]) -> T:
        at, since = datetime.now(UTC), time.perf_counter_ns()
        result = await taking
        took_us = (time.perf_counter_ns() - since) // 1_000
        self._observe(step.name, took_us)
        began = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        self.steps.append(StepTaken(step=step.name, at=began, took_us=took_us, what=say(result)))
        return result


def _closed_before(reservation: Reservation, taken: list[StepTaken]) -> PlayResult:
    """The answer for a round that was refused, or had ended before (Temporal has forgotten its workflow)."""
    return PlayResult(
        state=reservation.state,
        failure_code=reservation.failure_code,
        request_id=reservation.request_id,
        unconfirmed_event_id=reservation.event_id,
        steps=taken,
    )
