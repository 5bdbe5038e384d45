"""The steps of a round as fakes: they act on a World and suffer the faults that a test sets. The one go is
production's own, with the fakes as its wallet, its games and its events.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.play import PlayStep
from contracts import steps
from contracts.actions import ActionVerdict, ActRequest
from contracts.events import RecordedEvent
from contracts.failures import LEDGER_CONFLICT, WALLET_RELEASING
from contracts.interventions import Intervened, InterveneRequest
from contracts.rounds import (
    Bet,
    EmitRequest,
    Opened,
    OpenRequest,
    ReleaseRequest,
    Reservation,
    Resolution,
    ResolveRequest,
    SettleRequest,
    Terminal,
)
from tests.workflow.faults import PATIENT, SHORT, Fault
from tests.workflow.world import NothingReserved, Releasing, World

T = TypeVar("T")


class FakeSteps:
    """`attempts` lists every attempt in the order it began: "settle" within the one go, "patient settle" as
    an activity of its own. `observed` lists what the one go said that it took: step and microseconds.
    `changed` is called after each effect and before each fault strikes."""

    def __init__(
        self, world: World, faults: Sequence[Fault] = (), changed: Callable[[], None] = lambda: None
    ) -> None:
        self._world = world
        self._faults = faults
        self._changed = changed
        self.attempts: list[str] = []
        self.observed: list[tuple[str, int]] = []
        self._one_go = PlayStep(self, self, self, lambda *step: self.observed.append(step))

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [
            *(self._one_go.play, self.reserve, self.resolve, self.settle, self.release, self.emit),
            *(self.open, self._one_go.act, self.intervene),
        ]

    @activity.defn(name=steps.RESERVE.name)
    async def reserve(self, bet: Bet) -> Reservation:
        return await self._take(steps.RESERVE.name, lambda: self._world.reserve(bet))

    @activity.defn(name=steps.RESOLVE.name)
    async def resolve(self, request: ResolveRequest) -> Resolution:
        return await self._take(steps.RESOLVE.name, lambda: self._world.resolve(request))

    @activity.defn(name=steps.OPEN.name)
    async def open(self, request: OpenRequest) -> Opened:
        return await self._take(steps.OPEN.name, lambda: self._world.open(request))

    async def act(self, request: ActRequest) -> tuple[ActionVerdict, Reservation | None]:
        return await self._take(steps.ACT.name, lambda: self._world.act(request))

    @activity.defn(name=steps.SETTLE.name)
    async def settle(self, request: SettleRequest) -> Terminal:
        terminal, _ = await self.settle_with_event(request)
        return terminal

    async def settle_with_event(self, request: SettleRequest) -> tuple[Terminal, RecordedEvent | None]:
        try:
            return await self._take(steps.SETTLE.name, lambda: self._world.settle(request))
        except NothingReserved:
            raise ApplicationError("nothing reserved", type=LEDGER_CONFLICT, non_retryable=True) from None
        except Releasing:
            raise ApplicationError("releasing", type=WALLET_RELEASING, non_retryable=True) from None

    @activity.defn(name=steps.RELEASE.name)
    async def release(self, request: ReleaseRequest) -> Terminal:
        return await self._take(steps.RELEASE.name, lambda: self._world.release(request))

    @activity.defn(name=steps.EMIT.name)
    async def emit(self, request: EmitRequest) -> bool:
        return await self._take(steps.EMIT.name, lambda: self._world.emit(request))

    @activity.defn(name=steps.INTERVENE.name)
    async def intervene(self, request: InterveneRequest) -> Intervened:
        return await self._take(steps.INTERVENE.name, lambda: self._world.intervene(request))

    async def emit_now(self, event: RecordedEvent) -> None:
        await self._take(steps.EMIT.name, lambda: self._world.publish(event))

    async def _take(self, step: str, effect: Callable[[], T]) -> T:
        way = SHORT if activity.info().is_local else PATIENT
        self.attempts.append(step if way == SHORT else f"patient {step}")
        fault = next((fault for fault in self._faults if fault.hits(step, way)), None)
        if fault is None:
            return self._effect(effect)
        fault.struck += 1
        self._changed()
        if not fault.late:
            await fault.strike()
        result = self._effect(effect)
        if fault.late:
            await fault.strike()
        fault.over.set()
        return result

    def _effect(self, effect: Callable[[], T]) -> T:
        result = effect()
        self._changed()
        return result
