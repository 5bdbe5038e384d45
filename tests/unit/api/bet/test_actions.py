"""ActionService: whose answer an action gets when the workflow's is late, and what a normal one costs."""

import asyncio
import dataclasses
from datetime import timedelta
from typing import Any, cast

import pytest

from api.bet import actions
from api.bet.actions import ActionService
from api.bet.result_waiter import ResultWaiter
from api.result.service import ResultService
from contracts.actions import ActionVerdict, PlayerAction
from contracts.choices import Choice, Chosen, Offer
from contracts.rounds import Bet, RoundKey, RoundState
from contracts.sessions import REAL, SessionClaims
from contracts.views import RoundView
from games.registry import Registry
from runtime.round_workflows import OutcomeUncertain, RoundWorkflows
from tests.support.conditions import HANG_S, until
from tests.unit.api.bet.test_service import SETTLED

GAMES = Registry.load()
COLLECT = PlayerAction(action_id="a-1", chosen=Chosen(action="collect"), request_id="the-first")
TAKEN = {"action_id": "a-1", "action": "collect", "params": {}, "debit": 0, "by": "player", "at": "now"}
OFFER = Offer(choices=[Choice(action="collect")], default=COLLECT.chosen, decide_within_s=60)
OPEN = dataclasses.replace(
    SETTLED, state=RoundState.AWAITING_CHOICE, offer=OFFER, balance=None, closed_at=None, taken=[]
)
SETTLING = dataclasses.replace(OPEN, state=RoundState.SETTLING, offer=None, win=50, actions=1, taken=[TAKEN])
PAID = dataclasses.replace(SETTLED, win=50, actions=1, taken=[TAKEN])
CLAIMS = SessionClaims(
    session_id="s-1",
    operator_id=OPEN.key.operator_id,
    player_id=OPEN.player_id,
    player_key=OPEN.key.player_key,
    account_id=OPEN.account_id,
    game_id=OPEN.game_id,
    currency=OPEN.currency,
    mode=REAL,
    expires_at=0,
)


class Backend:
    """A round's workflow and a ledger in one. `answer` is the workflow's; `looks` counts reads of the ledger,
    and `asked` says whether the workflow got the action."""

    def __init__(self, stored: RoundView) -> None:
        self.stored = stored
        self.answer: asyncio.Future[ActionVerdict] = asyncio.get_running_loop().create_future()
        self.asked = asyncio.Event()
        self.looks = 0

    async def act(self, bet: Bet, action: PlayerAction, *, within: timedelta) -> ActionVerdict:
        self.asked.set()
        return await self.answer

    async def find(self, key: RoundKey) -> RoundView:
        self.looks += 1
        return self.stored

    look_up = find

    async def looked(self, times: int) -> None:
        async def often() -> bool:
            return self.looks >= times

        await until(often)

    async def take(self, waiter: ResultWaiter) -> actions.ActionAnswer:
        service = ActionService(
            cast(RoundWorkflows, self), cast(ResultService, self), waiter, GAMES, patience_s=HANG_S
        )
        async with asyncio.timeout(HANG_S):
            return await service.take(CLAIMS, OPEN.key.round_id, COLLECT)


@pytest.fixture
def waiter() -> ResultWaiter:
    return ResultWaiter()


@pytest.fixture
def endless_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "IN_PROCESS_PATIENCE_S", 10 * HANG_S)


async def begun(backend: Backend, waiter: ResultWaiter) -> "asyncio.Task[actions.ActionAnswer]":
    task = asyncio.create_task(backend.take(waiter))
    await backend.asked.wait()
    return task


@pytest.mark.usefixtures("endless_patience")
async def test_an_action_that_pays_reads_the_ledger_no_more_than_before_and_after(
    waiter: ResultWaiter,
) -> None:
    backend = Backend(OPEN)
    task = await begun(backend, waiter)
    backend.stored = PAID
    waiter.deliver(PAID)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done(), "the workflow's own answer is awaited"
    backend.answer.set_result(ActionVerdict.TAKEN)
    assert await task == actions.ActionAnswer(ActionVerdict.TAKEN, PAID)
    assert backend.looks == 2
    assert not waiter._waiting


@pytest.mark.usefixtures("endless_patience")
async def test_a_win_that_its_wallet_does_not_take_is_answered_as_soon_as_it_is_known_here(
    waiter: ResultWaiter,
) -> None:
    backend = Backend(OPEN)
    task = await begun(backend, waiter)
    backend.stored = SETTLING
    waiter.deliver(SETTLING)
    assert await task == actions.ActionAnswer(ActionVerdict.TAKEN, SETTLING)
    assert backend.answer.cancelled(), "nobody waits for the workflow any more"


async def test_a_win_that_its_wallet_does_not_take_elsewhere_is_found_in_the_ledger(
    waiter: ResultWaiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "IN_PROCESS_PATIENCE_S", 0.01)
    monkeypatch.setattr(actions, "CHECK_EVERY_S", 0.01)
    backend = Backend(OPEN)
    task = await begun(backend, waiter)
    backend.stored = SETTLING
    assert await task == actions.ActionAnswer(ActionVerdict.TAKEN, SETTLING)


async def test_a_settling_round_is_no_answer_to_another_action(
    waiter: ResultWaiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "IN_PROCESS_PATIENCE_S", 0.01)
    monkeypatch.setattr(actions, "CHECK_EVERY_S", 0.01)
    backend = Backend(OPEN)
    task = await begun(backend, waiter)
    backend.stored = dataclasses.replace(SETTLING, taken=[{**TAKEN, "action_id": "another"}])
    await backend.looked(backend.looks + 3)
    backend.answer.set_result(ActionVerdict.WRONG_STATE)
    assert (await task).verdict is ActionVerdict.WRONG_STATE


@pytest.mark.parametrize("on_record", [True, False])
async def test_an_answer_that_does_not_come_is_the_ledgers(waiter: ResultWaiter, on_record: bool) -> None:
    backend = Backend(OPEN)
    task = await begun(backend, waiter)
    pending = dataclasses.replace(SETTLING, state=RoundState.PENDING)
    backend.stored = pending if on_record else OPEN
    backend.answer.set_exception(OutcomeUncertain("late"))
    if on_record:
        assert await task == actions.ActionAnswer(ActionVerdict.TAKEN, pending)
    else:
        with pytest.raises(OutcomeUncertain):
            await task


async def test_a_round_that_settles_takes_no_other_action_and_says_so_at_once(waiter: ResultWaiter) -> None:
    other: dict[str, Any] = {**TAKEN, "action_id": "a-0"}
    backend = Backend(dataclasses.replace(SETTLING, taken=[other]))
    assert (await backend.take(waiter)).verdict is ActionVerdict.WRONG_STATE
    assert not backend.asked.is_set()
