"""The steps of a round as fakes: they act on a World and suffer the faults that a test sets. What moves money
and the fast path are production's own activities, over the fakes as their MoneySteps, games and events.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from temporalio import activity

from activities.money import MoneyActivities
from activities.play import PlayActivities
from contracts import steps
from contracts.actions import ActionVerdict, ActRequest
from contracts.events import RecordedEvent
from contracts.interventions import InterveneRequest, InterventionResult
from contracts.rounds import (
    Bet,
    EmitRequest,
    OpenRequest,
    ReleaseRequest,
    Resolution,
    ResolveRequest,
    SettleRequest,
)
from contracts.views import RoundView, Settlement
from tests.workflow.faults import DURABLE, FAST, Fault
from tests.workflow.world import World
from wallet.router import MoneyRouter
from wallet.steps import MoneySteps

T = TypeVar("T")


class FakeSteps(MoneySteps):
    """`attempts` lists every attempt in the order it began: "settle" on the fast path, "durable settle" as an
    activity of its own. `observed` lists what the fast path said that it took: step and microseconds.
    `changed` is called after each effect and before each fault strikes."""

    def __init__(
        self, world: World, faults: Sequence[Fault] = (), changed: Callable[[], None] = lambda: None
    ) -> None:
        self._world = world
        self._faults = faults
        self._changed = changed
        self.attempts: list[str] = []
        self.observed: list[tuple[str, int]] = []
        self._money = MoneyActivities(MoneyRouter(self, {}), deliver=lambda view: None)
        self._play = PlayActivities(
            self._money, self.resolve, self.emit_now, lambda *step: self.observed.append(step)
        )

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [
            *self._play.activities,
            *self._money.activities,
            *(self.resolve, self.emit, self.intervene),
        ]

    async def reserve(self, bet: Bet, *, within_s: float | None = None) -> RoundView:
        return await self._take(steps.RESERVE.name, lambda: self._world.reserve(bet))

    @activity.defn(name=steps.RESOLVE.name)
    async def resolve(self, request: ResolveRequest) -> Resolution:
        return await self._take(steps.RESOLVE.name, lambda: self._world.resolve(request))

    async def open(self, request: OpenRequest) -> RoundView:
        return await self._take(steps.OPEN.name, lambda: self._world.open(request))

    async def act(
        self, request: ActRequest, *, within_s: float | None = None
    ) -> tuple[ActionVerdict, RoundView | None]:
        return await self._take(steps.ACT.name, lambda: self._world.act(request))

    async def settle(self, request: SettleRequest, *, within_s: float | None = None) -> Settlement:
        return await self._take(steps.SETTLE.name, lambda: self._world.settle(request))

    async def release(self, request: ReleaseRequest) -> RoundView:
        return await self._take(steps.RELEASE.name, lambda: self._world.release(request))

    @activity.defn(name=steps.EMIT.name)
    async def emit(self, request: EmitRequest) -> bool:
        return await self._take(steps.EMIT.name, lambda: self._world.emit(request))

    @activity.defn(name=steps.INTERVENE.name)
    async def intervene(self, request: InterveneRequest) -> InterventionResult:
        return await self._take(steps.INTERVENE.name, lambda: self._world.intervene(request))

    async def emit_now(self, event: RecordedEvent) -> None:
        await self._take(steps.EMIT.name, lambda: self._world.publish(event))

    async def _take(self, step: str, effect: Callable[[], T]) -> T:
        way = FAST if activity.info().is_local else DURABLE
        self.attempts.append(step if way == FAST else f"durable {step}")
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
