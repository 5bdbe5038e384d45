"""Every path a round can take through RoundWorkflow: each is recorded once, and replayed for ever."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from temporalio.client import WorkflowUpdateFailedError

from contracts.actions import ActRequest
from contracts.choices import Abandonment, Chosen
from contracts.interventions import Action
from contracts.rounds import OpenRequest, Resolution, SettleRequest
from contracts.steps import NAMED_STEPS
from tests.workflow.choices import COLLECT, DOUBLE, act, action, offer, waits
from tests.workflow.faults import DURABLE, FAST, Breaks, Hangs, Meddles, Refuses
from tests.workflow.stage import Ended, Stage, heard, intervene, within
from tests.workflow.world import WIN

Path = Callable[[Stage], Awaitable[Ended]]


async def settled(stage: Stage) -> Ended:
    return await stage.play()


async def settled_by_named_steps(stage: Stage) -> Ended:
    return await settled(_by_named_steps(stage))


async def unconfirmed_by_named_steps(stage: Stage) -> Ended:
    return await unconfirmed(_by_named_steps(stage))


async def step_by_step_after_named_steps(stage: Stage) -> Ended:
    return await step_by_step(_by_named_steps(stage))


async def collected_after_named_steps(stage: Stage) -> Ended:
    return await collected(_by_named_steps(stage))


async def declined(stage: Stage) -> Ended:
    stage.world.balance = 0
    return await stage.play(whole=False)


async def settled_before(stage: Stage) -> Ended:
    stage.world.reserve(stage.bet)
    stage.world.settle(SettleRequest(bet=stage.bet, resolution=Resolution(outcome={}, win=0)))
    return await stage.play()


async def unconfirmed(stage: Stage) -> Ended:
    stage.set(Breaks(step="emit", way=FAST))
    return await stage.play()


async def step_by_step(stage: Stage) -> Ended:
    _leave_the_fast_path(stage)
    return await stage.play()


async def step_by_step_with_repeats(stage: Stage) -> Ended:
    _leave_the_fast_path(stage)
    for step in ("reserve", "resolve", "settle", "emit"):
        stage.set(Breaks(step=step, way=DURABLE, times=2))
    return await stage.play()


async def declined_step_by_step(stage: Stage) -> Ended:
    _leave_the_fast_path(stage)
    return await declined(stage)


async def settled_unheard(stage: Stage) -> Ended:
    stage.set(Breaks(step="settle", way=FAST, late=True))
    return await stage.play()


async def slow_settle(stage: Stage) -> Ended:
    stage.set(Hangs(step="settle", way=FAST))
    return await stage.play()


async def slow_emit(stage: Stage) -> Ended:
    stage.set(Hangs(step="emit", way=FAST))
    return await stage.play()


async def settled_from_the_record(stage: Stage) -> Ended:
    """At an operator's wallet: the result is on record, and only the wallet has not taken the win."""
    _leave_the_fast_path(stage)
    stage.set(Meddles(step="reserve", way=DURABLE, act=lambda: _on_record(stage)))
    return await stage.play()


async def released_when_on_record(stage: Stage) -> Ended:
    _leave_the_fast_path(stage)
    stage.set(Refuses(step="resolve", way=DURABLE))
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
    stage.set(Refuses(step="resolve", way=DURABLE))
    return await _cancelled_during(stage, "release")


async def cancelled_when_settled_unheard(stage: Stage) -> Ended:
    stage.set(Breaks(step="settle", way=FAST, late=True))
    return await _cancelled_at(stage, "emit")


async def cancelled_when_unconfirmed(stage: Stage) -> Ended:
    stage.set(Breaks(step="emit", way=FAST))
    return await _cancelled_at(stage, "emit")


async def cancelled_too_late(stage: Stage) -> Ended:
    hangs = stage.set(Hangs(step="emit", way=FAST))
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


async def voided_while_an_action_waits_for_its_game(stage: Stage) -> Ended:
    """The action is on record, and the round's workflow begins anew while its game is away."""
    _leave_the_fast_path(stage)
    stage.world.offers = [offer(Abandonment.HOLD)]
    stage.world.leave_at_wallet(stage.bet, action(DOUBLE))
    stage.world.act(ActRequest(bet=stage.bet, action=action(DOUBLE)))
    hangs = stage.set(Hangs(step="resolve", way=DURABLE))
    async with stage.playing() as handle:
        try:
            await within(hangs.reached)
            await intervene(handle, stage.decision(Action.VOID))
        finally:
            hangs.go.set()  # or the worker waits for it, whatever went wrong
        return await stage.end(handle)


async def voided_when_on_record(stage: Stage) -> Ended:
    return await _decided(stage, Action.VOID)


async def collected(stage: Stage) -> Ended:
    return await _acted(stage, COLLECT)


async def doubled_and_collected(stage: Stage) -> Ended:
    return await _acted(stage, DOUBLE, COLLECT)


async def acted_step_by_step(stage: Stage) -> Ended:
    stage.set(Breaks(step="act", way=FAST, late=True))
    return await _acted(stage, COLLECT)


async def opened_step_by_step(stage: Stage) -> Ended:
    _leave_the_fast_path(stage)
    return await _acted(stage, COLLECT)


async def opened_before(stage: Stage) -> Ended:
    """The round's earlier workflow is lost."""
    stage.world.offers = [offer(Abandonment.HOLD)]
    stage.world.reserve(stage.bet)
    resolution = Resolution(outcome={}, win=WIN, offer=stage.world.offers[0])
    stage.world.open(OpenRequest(bet=stage.bet, resolution=resolution))
    return await _acted(stage, COLLECT)


async def abandoned_and_collected(stage: Stage) -> Ended:
    stage.world.offers = [offer(within_s=1)]
    return await stage.play()


async def abandoned_and_refunded(stage: Stage) -> Ended:
    stage.world.offers = [offer(Abandonment.REFUND, within_s=1)]
    return await stage.play()


async def action_refused_by_the_game(stage: Stage) -> Ended:
    stage.world.offers = [offer(Abandonment.HOLD)]
    async with stage.playing() as handle:
        await waits(stage, handle)
        stage.set(Refuses(step="resolve", times=2))
        with suppress(WorkflowUpdateFailedError):
            await act(handle, action(COLLECT))
        return await stage.end(handle)


async def voided_while_waiting(stage: Stage) -> Ended:
    stage.world.offers = [offer(Abandonment.HOLD)]
    async with stage.playing() as handle:
        await waits(stage, handle)
        await intervene(handle, stage.decision(Action.VOID))
        return await stage.end(handle)


async def cancelled_while_waiting(stage: Stage) -> Ended:
    stage.world.offers = [offer(Abandonment.HOLD)]
    async with stage.playing() as handle:
        await waits(stage, handle)
        await handle.cancel()
        return await stage.end(handle)


async def action_left_at_the_wallet(stage: Stage) -> Ended:
    """An earlier workflow of the round had put it to the operator's wallet, and was lost."""
    stage.world.offers = [offer(Abandonment.HOLD)]
    stage.world.leave_at_wallet(stage.bet, action(DOUBLE))
    return await stage.play()


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
        voided_while_an_action_waits_for_its_game,
        voided_when_on_record,
        collected,
        doubled_and_collected,
        acted_step_by_step,
        opened_step_by_step,
        opened_before,
        abandoned_and_collected,
        abandoned_and_refunded,
        action_refused_by_the_game,
        voided_while_waiting,
        cancelled_while_waiting,
        action_left_at_the_wallet,
        settled_by_named_steps,
        unconfirmed_by_named_steps,
        step_by_step_after_named_steps,
        collected_after_named_steps,
    )
}

# Their fast path hangs until its limit.
AT_THE_LIMIT: Final = frozenset({slow_settle.__name__, slow_emit.__name__})


def _leave_the_fast_path(stage: Stage) -> None:
    stage.set(Breaks(step="reserve", way=FAST))


def _on_record(stage: Stage) -> None:
    stage.world.reserve(stage.bet)
    stage.world.record(stage.bet, WIN)


async def _cancelled_during(stage: Stage, step: str) -> Ended:
    _leave_the_fast_path(stage)
    return await _cancelled_at(stage, step)


async def _cancelled_at(stage: Stage, step: str) -> Ended:
    """While `step` is under way as an activity, so that the workflow hears of it there and then."""
    hangs = stage.set(Hangs(step=step, way=DURABLE))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        await heard(handle)
        hangs.go.set()
        return await stage.end(handle)


def _by_named_steps(stage: Stage) -> Stage:
    """As rounds begin where no earlier program can come back."""
    stage.bet = replace(stage.bet, version=NAMED_STEPS)
    return stage


async def _decided(stage: Stage, action: Action) -> Ended:
    """By a person, while the wallet says nothing to the win that is on record."""
    _leave_the_fast_path(stage)
    stage.set(Meddles(step="reserve", way=DURABLE, act=lambda: _on_record(stage)))
    hangs = stage.set(Hangs(step="settle", way=DURABLE))
    async with stage.playing() as handle:
        try:
            await within(hangs.reached)
            await intervene(handle, stage.decision(action))
            return await stage.end(handle)
        finally:
            hangs.go.set()  # or the worker waits for it, whatever went wrong


async def _acted(stage: Stage, *chosen: Chosen) -> Ended:
    """By the player, one action after another, each from an offer that is held without end: a timer would be
    skipped, or take its time."""
    stage.world.offers = stage.world.offers or [offer(Abandonment.HOLD) for _ in chosen]
    async with stage.playing() as handle:
        await waits(stage, handle)
        for number, taken in enumerate(chosen):
            await act(handle, action(taken, f"a{number}"))
        return await stage.end(handle)
