"""The fast path that most rounds are: tried once, bounded, and telling truly what it did."""

import asyncio
import re
import time
from dataclasses import replace

import pytest
from temporalio.client import Client

from contracts.rounds import PlayResult, Resolution, RoundState, SettleRequest
from contracts.steps import NAMED_STEPS
from tests.replay import fingerprints
from tests.workflow.faults import FAST, Breaks, Hangs, Meddles
from tests.workflow.journeys import DURABLE_PATH, FAST_PATH, SETTLED
from tests.workflow.limits import at_the_limit
from tests.workflow.stage import REQUEST_ID, STAKE, Ended, Stage, within
from tests.workflow.world import OPENING_BALANCE, WIN
from workflows import policies


@pytest.mark.parametrize("step", FAST_PATH)
async def test_it_is_tried_once_however_it_fails(stage: Stage, step: str) -> None:
    fault = stage.set(Breaks(step=step, way=FAST, times=None))
    ended = await stage.play()
    assert fault.struck == 1
    assert [attempt for attempt in stage.attempts if not attempt.startswith("durable")] == [
        *FAST_PATH[: FAST_PATH.index(step) + 1]
    ]
    assert len(ended.fast_paths) == 1
    assert ended.closed == SETTLED


@at_the_limit
async def test_an_emit_that_hangs_to_its_limit_leaves_the_round_to_be_emitted_on_the_durable_path(
    stage: Stage,
) -> None:
    stage.set(Hangs(step="emit", way=FAST))
    ended = await stage.play()
    assert ended.fast_paths == [None]
    assert ended.duration >= policies.FAST_PATH_LIMIT
    assert stage.attempts == [*FAST_PATH, "durable reserve", "durable emit"]
    assert stage.world.effects == ["reserve", "settle", "emit"]
    assert ended.closed == SETTLED


@at_the_limit
async def test_an_emit_that_hangs_after_the_broker_had_the_event_does_not_double_it(stage: Stage) -> None:
    stage.set(Hangs(step="emit", way=FAST, late=True))
    ended = await stage.play()
    assert stage.attempts == [*FAST_PATH, "durable reserve", "durable emit"]
    assert stage.world.effects == ["reserve", "settle", "emit"]
    assert ended.closed == SETTLED


async def test_a_settled_round_names_all_its_steps(stage: Stage) -> None:
    played = _played(await stage.play())
    assert (played.state, played.request_id) == (RoundState.SETTLED, REQUEST_ID)
    assert played.unconfirmed_event_id is None
    _assert_steps(stage, played, list(FAST_PATH))


async def test_each_step_is_named_with_the_time_that_it_took(stage: Stage) -> None:
    hangs = stage.set(Hangs(step="resolve", way=FAST))
    began_ns = time.perf_counter_ns()
    async with stage.playing() as handle:
        await within(hangs.reached)
        await asyncio.sleep(0.3)
        hangs.go.set()
        played = _played(await stage.end(handle))
    elapsed_us = (time.perf_counter_ns() - began_ns) // 1_000
    took_us = {step.step: step.took_us for step in played.steps}
    assert took_us["resolve"] >= 300_000
    assert sum(took_us.values()) <= elapsed_us, "no step is given the time of another one too"


async def test_an_emit_that_broke_is_named_too_and_its_event_is_handed_on(stage: Stage) -> None:
    stage.set(Breaks(step="emit", way=FAST))
    played = _played(await stage.play())
    assert played.unconfirmed_event_id == stage.world.rounds[stage.bet.key].event_id
    _assert_steps(stage, played, list(FAST_PATH))
    assert stage.attempts == [*FAST_PATH, "durable emit"]


async def test_each_step_is_named_with_what_it_did(stage: Stage) -> None:
    reserve, resolve, settle, emit = _played(await stage.play()).steps
    event_id = stage.world.rounds[stage.bet.key].event_id
    assert reserve.what == f"held {STAKE} EUR, nonce 7 of seed seed-1"
    assert re.fullmatch(rf"win {WIN} EUR, outcome sha256:[0-9a-f]{{16}}", resolve.what)
    assert settle.what == (
        f"{STAKE} EUR from player to house, {WIN} EUR from house to player, event {event_id}"
    )
    assert emit.what == f"event {event_id} confirmed by the broker"


async def test_a_bet_of_a_later_version_names_the_four_steps_where_no_key_is_needed(stage: Stage) -> None:
    stage.bet = replace(stage.bet, version=NAMED_STEPS)
    ended = await stage.play()
    assert ended.closed == SETTLED
    assert fingerprints.commands(ended.history) == [
        "reserve-resolve-settle-emit: local activity",
        "completed",
    ]


async def test_a_declined_round_names_reserve_alone(skipping: Client) -> None:
    stage = Stage(skipping, "declined-on-the-fast-path", stake=OPENING_BALANCE + 1)
    played = _played(await stage.play())
    assert (played.state, played.unconfirmed_event_id) == (RoundState.DECLINED, None)
    _assert_steps(stage, played, ["reserve"])


async def test_a_round_that_was_settled_before_names_reserve_alone_and_its_event_is_handed_on(
    stage: Stage,
) -> None:
    stage.world.reserve(stage.bet)
    _settle(stage)
    played = _played(await stage.play())
    assert played.unconfirmed_event_id == stage.world.rounds[stage.bet.key].event_id
    _assert_steps(stage, played, ["reserve"])


async def test_a_settle_that_found_the_round_closed_hands_no_event_to_emit_and_names_none(
    stage: Stage,
) -> None:
    stage.set(Meddles(step="settle", way=FAST, act=lambda: _settle(stage)))
    played = _played(await stage.play())
    assert played.unconfirmed_event_id == stage.world.rounds[stage.bet.key].event_id
    _assert_steps(stage, played, ["reserve", "resolve", "settle"])
    assert stage.attempts == ["reserve", "resolve", "settle", "durable emit"]
    assert stage.world.effects == ["reserve", "settle", "emit"]


@pytest.mark.parametrize("step", ["reserve", "resolve", "settle"])
async def test_what_was_taken_before_it_failed_is_observed(stage: Stage, step: str) -> None:
    stage.set(Breaks(step=step, way=FAST))
    ended = await stage.play()
    assert [name for name, _ in stage.steps.observed] == list(FAST_PATH[: FAST_PATH.index(step)])
    assert stage.attempts[-4:] == list(DURABLE_PATH)
    assert ended.fast_paths == [None]


def _played(ended: Ended) -> PlayResult:
    (played,) = ended.fast_paths
    assert played is not None
    return played


def _assert_steps(stage: Stage, played: PlayResult, steps: list[str]) -> None:
    """Recorded and observed alike, in their order."""
    assert [step.step for step in played.steps] == steps
    assert [(step.step, step.took_us) for step in played.steps] == stage.steps.observed
    assert [step.at for step in played.steps] == sorted(step.at for step in played.steps)
    assert played.took_us == {}, "programs of earlier releases want it to be there"


def _settle(stage: Stage) -> None:
    stage.world.settle(SettleRequest(bet=stage.bet, resolution=Resolution(outcome={}, win=WIN)))
