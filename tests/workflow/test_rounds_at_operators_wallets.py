"""What a round does when an operator's wallet keeps its money: a stake that nobody knows of, and a result
that is on record before the wallet has taken the win."""

import pytest
from temporalio.client import WorkflowExecutionStatus

from contracts.failures import GAME_ERROR, RESERVE_UNCERTAIN, WALLET_PENDING, WALLET_UNCERTAIN
from contracts.rounds import RoundClosed, RoundState
from tests.workflow.faults import DURABLE, FAST, Breaks, Hangs, Meddles, Refuses
from tests.workflow.journeys import FAST_PATH, SETTLED
from tests.workflow.stage import REQUEST_ID, Stage, heard, within
from tests.workflow.world import OPENING_BALANCE

ON_RECORD = 70


async def test_an_uncertain_stake_is_asked_once_more_and_goes_on(stage: Stage) -> None:
    stage.set(Refuses(step="reserve", way=FAST, late=True, type=WALLET_UNCERTAIN))
    ended = await stage.play()
    assert stage.attempts == [
        "reserve",
        "durable reserve",
        "durable resolve",
        "durable settle",
        "durable emit",
    ]
    assert ended.closed == SETTLED


@pytest.mark.parametrize("late", [False, True], ids=["not-taken", "taken"])
async def test_a_stake_that_stays_uncertain_is_given_back(stage: Stage, late: bool) -> None:
    stage.set(Refuses(step="reserve", late=late, times=2, type=WALLET_UNCERTAIN, message="the bet: timeout"))
    ended = await stage.play()
    assert stage.attempts == ["reserve", "durable reserve", "durable release", "durable emit"]
    assert ended.closed == RoundClosed(
        state=RoundState.VOID, failure_code=RESERVE_UNCERTAIN, request_id=REQUEST_ID
    )
    assert stage.world.balance == OPENING_BALANCE
    assert stage.world.rounds[stage.bet.key].failure_detail == "WalletUncertain: the bet: timeout"


async def test_a_win_that_the_wallet_does_not_take_is_told_again_without_a_new_result(stage: Stage) -> None:
    """The fast path recorded the result and told the wallet; what is repeated is what is on record."""
    stage.set(_RecordsAndFails(step="settle", way=FAST, act=lambda: stage.world.record(stage.bet, ON_RECORD)))
    stage.set(Breaks(step="settle", way=DURABLE, times=5))
    ended = await stage.play()
    assert stage.attempts == [
        *FAST_PATH[:3],
        "durable reserve",
        *["durable settle"] * 6,
        "durable emit",
    ]
    assert ended.closed == SETTLED
    assert stage.world.balance == OPENING_BALANCE - stage.bet.stake + ON_RECORD


async def test_a_round_restarted_on_the_fast_path_settles_what_is_on_record(stage: Stage) -> None:
    stage.world.reserve(stage.bet)
    stage.world.record(stage.bet, ON_RECORD)
    ended = await stage.play()
    assert stage.attempts == ["reserve", "settle", "emit"]
    assert ended.closed == SETTLED
    assert stage.world.rounds[stage.bet.key].win == ON_RECORD


async def test_a_release_that_finds_a_result_on_record_settles_it(stage: Stage) -> None:
    """The interleaving: the game refuses to compute again what another attempt had recorded meanwhile."""
    stage.set(Breaks(step="reserve", way=FAST))
    stage.set(Refuses(step="resolve", way=DURABLE, type=GAME_ERROR))
    stage.set(Meddles(step="release", act=lambda: stage.world.record(stage.bet, ON_RECORD)))
    ended = await stage.play()
    assert stage.attempts[-4:] == ["durable resolve", "durable release", "durable settle", "durable emit"]
    assert stage.world.effects == ["reserve", "record", "settle", "emit"]
    assert ended.closed == SETTLED
    assert ended.status is WorkflowExecutionStatus.COMPLETED


async def test_a_cancelled_round_with_a_result_on_record_is_settled(stage: Stage) -> None:
    stage.set(Breaks(step="reserve", way=FAST))
    hangs = stage.set(Hangs(step="resolve", way=DURABLE))
    stage.set(Meddles(step="release", act=lambda: stage.world.record(stage.bet, ON_RECORD)))
    async with stage.playing() as handle:
        await within(hangs.reached)
        await handle.cancel()
        await heard(handle)
        hangs.go.set()
        ended = await stage.end(handle)
    assert ended.closed == SETTLED
    assert stage.world.rounds[stage.bet.key].win == ON_RECORD


class _RecordsAndFails(Meddles):
    """A settle at an operator's wallet that does not take the win."""

    async def strike(self) -> None:
        self.act()
        raise ConnectionError(WALLET_PENDING)
