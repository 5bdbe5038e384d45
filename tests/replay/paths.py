"""Every path a round can take through RoundWorkflow: each is recorded once, and replayed for ever."""

from collections.abc import Awaitable, Callable
from typing import Final

from contracts.rounds import Resolution, SettleRequest
from tests.workflow.faults import PATIENT, SHORT, Breaks, Hangs, Refuses
from tests.workflow.stage import Played, Stage, heard, within

Path = Callable[[Stage], Awaitable[Played]]

# Enough for the short way and a first patient attempt to fail.
ONCE_TOO_OFTEN: Final = 3


async def settled(stage: Stage) -> Played:
    return await stage.play()


async def declined(stage: Stage) -> Played:
    stage.world.balance = 0
    return await stage.play(whole=False)


async def settled_before(stage: Stage) -> Played:
    stage.world.reserve(stage.bet)
    stage.world.settle(SettleRequest(bet=stage.bet, resolution=Resolution(outcome={}, win=0)))
    return await stage.play()


async def patient_reserve(stage: Stage) -> Played:
    return await _patient(stage, "reserve")


async def patient_resolve(stage: Stage) -> Played:
    return await _patient(stage, "resolve")


async def patient_settle(stage: Stage) -> Played:
    return await _patient(stage, "settle")


async def patient_emit(stage: Stage) -> Played:
    return await _patient(stage, "emit")


async def slow_settle(stage: Stage) -> Played:
    stage.set(Hangs(step="settle", way=SHORT))
    return await stage.play()


async def void_after_reserve_refused(stage: Stage) -> Played:
    stage.set(Refuses(step="reserve"))
    return await stage.play()


async def void_after_reserve_uncertain(stage: Stage) -> Played:
    stage.set(Breaks(step="reserve", times=None))
    return await stage.play()


async def void_after_resolve_refused(stage: Stage) -> Played:
    stage.set(Refuses(step="resolve"))
    return await stage.play()


async def void_after_resolve_given_up(stage: Stage) -> Played:
    stage.set(Breaks(step="resolve", times=None))
    return await stage.play()


async def void_with_patient_release(stage: Stage) -> Played:
    stage.set(Refuses(step="resolve"))
    return await _patient(stage, "release")


async def cancelled_before_it_began(stage: Stage) -> Played:
    handle = await stage.start(eager=False)
    await handle.cancel()
    async with stage.worker():
        return await stage.end(handle)


async def cancelled_during_reserve(stage: Stage) -> Played:
    return await _cancelled_during(stage, "reserve")


async def cancelled_during_resolve(stage: Stage) -> Played:
    return await _cancelled_during(stage, "resolve")


async def cancelled_during_settle(stage: Stage) -> Played:
    return await _cancelled_during(stage, "settle")


async def cancelled_during_emit(stage: Stage) -> Played:
    return await _cancelled_during(stage, "emit")


async def cancelled_during_release(stage: Stage) -> Played:
    stage.set(Refuses(step="resolve"))
    return await _cancelled_during(stage, "release")


async def cancelled_when_settled_before(stage: Stage) -> Played:
    stage.world.reserve(stage.bet)
    stage.world.settle(SettleRequest(bet=stage.bet, resolution=Resolution(outcome={}, win=0)))
    return await _cancelled_during(stage, "emit")


async def cancelled_too_late(stage: Stage) -> Played:
    hangs = stage.set(Hangs(step="emit", way=SHORT))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        hangs.go.set()
        return await stage.end(handle)


async def settle_refused(stage: Stage) -> Played:
    stage.set(Refuses(step="settle"))
    return await stage.play(whole=False)


PATHS: Final[dict[str, Path]] = {
    path.__name__: path
    for path in (
        settled,
        declined,
        settled_before,
        patient_reserve,
        patient_resolve,
        patient_settle,
        patient_emit,
        slow_settle,
        void_after_reserve_refused,
        void_after_reserve_uncertain,
        void_after_resolve_refused,
        void_after_resolve_given_up,
        void_with_patient_release,
        cancelled_before_it_began,
        cancelled_during_reserve,
        cancelled_during_resolve,
        cancelled_during_settle,
        cancelled_during_emit,
        cancelled_during_release,
        cancelled_when_settled_before,
        cancelled_too_late,
        settle_refused,
    )
}


async def _patient(stage: Stage, step: str) -> Played:
    stage.set(Breaks(step=step, times=ONCE_TOO_OFTEN))
    return await stage.play()


async def _cancelled_during(stage: Stage, step: str) -> Played:
    """While its patient attempt is under way, so that the workflow hears of it there and then."""
    stage.set(Breaks(step=step, way=SHORT, times=None))
    hangs = stage.set(Hangs(step=step, way=PATIENT))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        await heard(handle)
        hangs.go.set()
        return await stage.end(handle)
