"""Every path a round can take through RoundWorkflow: each is recorded once, and replayed for ever."""

from collections.abc import Awaitable, Callable
from typing import Final

from contracts.interventions import Action
from contracts.rounds import Resolution, SettleRequest
from tests.workflow.faults import PATIENT, SHORT, Breaks, Hangs, Meddles, Refuses
from tests.workflow.stage import Ended, Stage, heard, intervene, within
from tests.workflow.world import WIN

Path = Callable[[Stage], Awaitable[Ended]]


async def settled(stage: Stage) -> Ended:
    return await stage.play()


async def declined(stage: Stage) -> Ended:
    stage.world.balance = 0
    return await stage.play(whole=False)


async def settled_before(stage: Stage) -> Ended:
    stage.world.reserve(stage.bet)
    stage.world.settle(SettleRequest(bet=stage.bet, resolution=Resolution(outcome={}, win=0)))
    return await stage.play()


async def unconfirmed(stage: Stage) -> Ended:
    stage.set(Breaks(step="emit", way=SHORT))
    return await stage.play()


async def step_by_step(stage: Stage) -> Ended:
    _leave_the_one_go(stage)
    return await stage.play()


async def step_by_step_with_repeats(stage: Stage) -> Ended:
    _leave_the_one_go(stage)
    for step in ("reserve", "resolve", "settle", "emit"):
        stage.set(Breaks(step=step, way=PATIENT, times=2))
    return await stage.play()


async def declined_step_by_step(stage: Stage) -> Ended:
    _leave_the_one_go(stage)
    return await declined(stage)


async def settled_unheard(stage: Stage) -> Ended:
    stage.set(Breaks(step="settle", way=SHORT, late=True))
    return await stage.play()


async def slow_settle(stage: Stage) -> Ended:
    stage.set(Hangs(step="settle", way=SHORT))
    return await stage.play()


async def slow_emit(stage: Stage) -> Ended:
    stage.set(Hangs(step="emit", way=SHORT))
    return await stage.play()


async def settled_from_the_record(stage: Stage) -> Ended:
    """At an operator's wallet: the result is on record, and only the wallet has not taken the win."""
    _leave_the_one_go(stage)
    stage.set(Meddles(step="reserve", way=PATIENT, act=lambda: _on_record(stage)))
    return await stage.play()


async def released_when_on_record(stage: Stage) -> Ended:
    _leave_the_one_go(stage)
    stage.set(Refuses(step="resolve", way=PATIENT))
    stage.set(Meddles(step="release", act=lambda: stage.world.record(stage.bet, WIN)))
    return await stage.play()


async def void_after_reserve_refused(stage: Stage) -> Ended:
    stage.set(Refuses(step="reserve", times=2))
    return await stage.play()


async def void_after_reserve_uncertain(stage: Stage) -> Ended:
    stage.set(Breaks(step="reserve", times=None))
    return await stage.play()


async def void_after_resolve_refused(stage: Stage) -> Ended:
    stage.set(Refuses(step="resolve", times=2))
    return await stage.play()


async def void_after_resolve_given_up(stage: Stage) -> Ended:
    stage.set(Breaks(step="resolve", times=None))
    return await stage.play()


async def cancelled_before_it_began(stage: Stage) -> Ended:
    handle = await stage.start(eager=False)
    await handle.cancel()
    async with stage.worker():
        return await stage.end(handle)


async def cancelled_during_reserve(stage: Stage) -> Ended:
    return await _cancelled_during(stage, "reserve")


async def cancelled_during_resolve(stage: Stage) -> Ended:
    return await _cancelled_during(stage, "resolve")


async def cancelled_during_settle(stage: Stage) -> Ended:
    return await _cancelled_during(stage, "settle")


async def cancelled_during_emit(stage: Stage) -> Ended:
    return await _cancelled_during(stage, "emit")


async def cancelled_during_release(stage: Stage) -> Ended:
    stage.set(Refuses(step="resolve", way=PATIENT))
    return await _cancelled_during(stage, "release")


async def cancelled_when_settled_unheard(stage: Stage) -> Ended:
    stage.set(Breaks(step="settle", way=SHORT, late=True))
    return await _cancelled_at(stage, "emit")


async def cancelled_when_unconfirmed(stage: Stage) -> Ended:
    stage.set(Breaks(step="emit", way=SHORT))
    return await _cancelled_at(stage, "emit")


async def cancelled_too_late(stage: Stage) -> Ended:
    hangs = stage.set(Hangs(step="emit", way=SHORT))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        hangs.go.set()
        return await stage.end(handle)


async def settle_refused(stage: Stage) -> Ended:
    stage.set(Refuses(step="settle", times=2))
    return await stage.play(whole=False)


async def retried_by_a_person(stage: Stage) -> Ended:
    return await _decided(stage, Action.RETRY_NOW)


async def paid_outside(stage: Stage) -> Ended:
    return await _decided(stage, Action.PAID_OUTSIDE)


async def refunded_outside(stage: Stage) -> Ended:
    return await _decided(stage, Action.REFUNDED_OUTSIDE)


async def voided_when_on_record(stage: Stage) -> Ended:
    return await _decided(stage, Action.VOID)


PATHS: Final[dict[str, Path]] = {
    path.__name__: path
    for path in (
        settled,
        declined,
        settled_before,
        unconfirmed,
        step_by_step,
        step_by_step_with_repeats,
        declined_step_by_step,
        settled_unheard,
        slow_settle,
        slow_emit,
        settled_from_the_record,
        released_when_on_record,
        void_after_reserve_refused,
        void_after_reserve_uncertain,
        void_after_resolve_refused,
        void_after_resolve_given_up,
        cancelled_before_it_began,
        cancelled_during_reserve,
        cancelled_during_resolve,
        cancelled_during_settle,
        cancelled_during_emit,
        cancelled_during_release,
        cancelled_when_settled_unheard,
        cancelled_when_unconfirmed,
        cancelled_too_late,
        settle_refused,
        retried_by_a_person,
        paid_outside,
        refunded_outside,
        voided_when_on_record,
    )
}


def _leave_the_one_go(stage: Stage) -> None:
    stage.set(Breaks(step="reserve", way=SHORT))


def _on_record(stage: Stage) -> None:
    stage.world.reserve(stage.bet)
    stage.world.record(stage.bet, WIN)


async def _cancelled_during(stage: Stage, step: str) -> Ended:
    _leave_the_one_go(stage)
    return await _cancelled_at(stage, step)


async def _cancelled_at(stage: Stage, step: str) -> Ended:
    """While `step` is under way as an activity, so that the workflow hears of it there and then."""
    hangs = stage.set(Hangs(step=step, way=PATIENT))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        await heard(handle)
        hangs.go.set()
        return await stage.end(handle)


async def _decided(stage: Stage, action: Action) -> Ended:
    """By a person, while the wallet says nothing to the win that is on record."""
    _leave_the_one_go(stage)
    stage.set(Meddles(step="reserve", way=PATIENT, act=lambda: _on_record(stage)))
    hangs = stage.set(Hangs(step="settle", way=PATIENT))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await intervene(handle, stage.decision(action))
        ended = await stage.end(handle)
        hangs.go.set()
        return ended
