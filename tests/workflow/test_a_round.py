"""RoundWorkflow when nothing breaks: a round is settled, refused, void, or was closed before.

Each of these may also be found out on the durable path, when the fast path failed: `way` says which.
"""

from typing import cast

import asyncpg
import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from contracts.failures import INSUFFICIENT_FUNDS, RESOLVE_FAILED, ROUND_CANCELLED
from contracts.rounds import EmitRequest, ReleaseRequest, Resolution, RoundClosed, RoundState, SettleRequest
from contracts.steps import NAMED_STEPS, NAMED_STEPS_SCHEMA
from runtime.round_start import RoundStart
from security.keyring import Keyring
from tests.workflow.faults import DURABLE, FAST, Breaks, Meddles, Refuses
from tests.workflow.journeys import DURABLE_PATH, SETTLED
from tests.workflow.stage import REQUEST_ID, STAKE, Stage
from tests.workflow.world import OPENING_BALANCE, WIN

VOIDED_BY_HAND = RoundClosed(state=RoundState.VOID, failure_code=ROUND_CANCELLED, request_id=REQUEST_ID)

either_way = pytest.mark.parametrize("way", [FAST, DURABLE])


async def test_a_round_reserves_resolves_settles_and_emits_on_the_fast_path(stage: Stage) -> None:
    ended = await stage.play()
    assert ended.closed == SETTLED
    assert stage.attempts == ["reserve", "resolve", "settle", "emit"]
    assert stage.world.effects == ["reserve", "settle", "emit"]
    assert stage.world.balance == OPENING_BALANCE - STAKE + WIN


async def test_a_settled_round_costs_six_history_events_and_two_state_transitions(stage: Stage) -> None:
    """With all that it can start with."""
    begins = RoundStart(stage.client, Keyring.generate(), cast(asyncpg.Pool, ReadyForAll()))
    await begins.look()
    stage.bet, stage.options = begins.bet(stage.bet), begins.options(stage.bet)
    assert stage.options.keys() == {"search_attributes", "static_summary"}
    assert stage.bet.version == NAMED_STEPS
    async with stage.playing() as handle:
        ended = await stage.end(handle)
        description = await handle.describe()
    assert ended.event_types == [
        "workflow_execution_started",
        "workflow_task_scheduled",
        "workflow_task_started",
        "workflow_task_completed",
        "marker_recorded",
        "workflow_execution_completed",
    ]
    assert description.raw_description.workflow_execution_info.state_transition_count == 2


class ReadyForAll:
    """A database that serves no earlier program."""

    async def fetchval(self, statement: str) -> str:
        return NAMED_STEPS_SCHEMA


async def test_a_round_reserves_resolves_settles_and_emits_on_the_durable_path(stage: Stage) -> None:
    attempts = _by(DURABLE, stage)
    ended = await stage.play()
    assert ended.closed == SETTLED
    assert stage.attempts == [*attempts, *DURABLE_PATH]
    assert stage.world.effects == ["reserve", "settle", "emit"]
    assert stage.world.balance == OPENING_BALANCE - STAKE + WIN


@either_way
async def test_a_bet_above_the_balance_is_declined_and_nothing_else_is_done(
    skipping: Client, way: str
) -> None:
    stage = Stage(skipping, f"above-the-balance-{way}", stake=OPENING_BALANCE + 1)
    attempts = _by(way, stage)
    ended = await stage.play()
    assert ended.closed == RoundClosed(
        state=RoundState.DECLINED, failure_code=INSUFFICIENT_FUNDS, request_id=REQUEST_ID
    )
    assert stage.attempts == [*attempts, _named("reserve", way)]
    assert stage.world.effects == ["decline"]
    assert stage.world.balance == OPENING_BALANCE


@either_way
@pytest.mark.parametrize("published", [False, True], ids=["unpublished", "published"])
async def test_a_round_that_was_settled_before_is_answered_and_not_played_again(
    stage: Stage, published: bool, way: str
) -> None:
    stage.world.reserve(stage.bet)
    _settle(stage, win=0)
    if published:
        event_id = stage.world.rounds[stage.bet.key].event_id
        assert event_id is not None
        stage.world.emit(EmitRequest(event_id=event_id))
    attempts = _by(way, stage)
    ended = await stage.play()
    assert ended.closed == SETTLED
    assert stage.attempts == [*attempts, _named("reserve", way), "durable emit"]
    assert stage.world.effects == ["reserve", "settle", "emit"]


@either_way
async def test_a_round_that_was_voided_before_is_answered_void_and_not_played_again(
    stage: Stage, way: str
) -> None:
    stage.world.reserve(stage.bet)
    _release(stage)
    attempts = _by(way, stage)
    ended = await stage.play()
    assert ended.closed == VOIDED_BY_HAND
    assert ended.status is WorkflowExecutionStatus.COMPLETED
    assert stage.attempts == [*attempts, _named("reserve", way), "durable emit"]


@either_way
async def test_a_stake_that_is_held_already_is_taken_up_and_played_to_its_end(stage: Stage, way: str) -> None:
    stage.world.reserve(stage.bet)
    _by(way, stage)
    ended = await stage.play()
    assert ended.closed == SETTLED
    assert stage.world.effects == ["reserve", "settle", "emit"]


@either_way
async def test_a_settle_that_finds_the_round_void_answers_void_and_pays_nothing(
    stage: Stage, way: str
) -> None:
    attempts = _by(way, stage)
    stage.set(Meddles(step="resolve", way=way, act=lambda: _release(stage)))
    ended = await stage.play()
    assert ended.closed == VOIDED_BY_HAND
    steps = [_named(step, way) for step in ("reserve", "resolve", "settle")]
    assert stage.attempts == [*attempts, *steps, "durable emit"]
    assert stage.world.effects == ["reserve", "release", "emit"]


@either_way
async def test_a_settle_that_finds_the_round_settled_takes_nothing_twice_and_has_its_event_emitted(
    stage: Stage, way: str
) -> None:
    """Whether the event of a round that somebody else closed is out, the fast path cannot know: it hands none
    to its own emit."""
    attempts = _by(way, stage)
    stage.set(Meddles(step="settle", way=way, act=lambda: _settle(stage, win=WIN)))
    ended = await stage.play()
    assert ended.closed == SETTLED
    steps = [_named(step, way) for step in ("reserve", "resolve", "settle")]
    assert stage.attempts == [*attempts, *steps, "durable emit"]
    assert stage.world.effects == ["reserve", "settle", "emit"]
    assert stage.world.balance == OPENING_BALANCE - STAKE + WIN


async def test_a_release_that_finds_the_round_settled_answers_settled(stage: Stage) -> None:
    stage.set(Refuses(step="resolve", times=2))
    stage.set(Meddles(step="release", act=lambda: _settle(stage, win=WIN)))
    ended = await stage.play()
    assert ended.closed == SETTLED
    assert stage.attempts[-2:] == ["durable release", "durable emit"]
    assert stage.world.effects == ["reserve", "settle", "emit"]


async def test_a_round_whose_outcome_cannot_be_computed_is_void_and_its_stake_given_back(
    stage: Stage,
) -> None:
    stage.set(Refuses(step="resolve", times=2))
    ended = await stage.play()
    assert ended.closed == RoundClosed(
        state=RoundState.VOID, failure_code=RESOLVE_FAILED, request_id=REQUEST_ID
    )
    assert ended.status is WorkflowExecutionStatus.COMPLETED
    assert stage.attempts == [
        *("reserve", "resolve"),
        *("durable reserve", "durable resolve", "durable release", "durable emit"),
    ]
    assert stage.world.effects == ["reserve", "release", "emit"]
    assert stage.world.balance == OPENING_BALANCE


def _by(way: str, stage: Stage) -> list[str]:
    """Makes the fast path fail at once, if the round is to take the durable one. Returns its attempts."""
    if way == FAST:
        return []
    stage.set(Breaks(step="reserve", way=FAST))
    return ["reserve"]


def _named(step: str, way: str) -> str:
    return step if way == FAST else f"durable {step}"


def _settle(stage: Stage, *, win: int) -> None:
    stage.world.settle(SettleRequest(bet=stage.bet, resolution=Resolution(outcome={}, win=win)))


def _release(stage: Stage) -> None:
    stage.world.release(
        ReleaseRequest(bet=stage.bet, failure_code=ROUND_CANCELLED, failure_detail="by an operator")
    )
