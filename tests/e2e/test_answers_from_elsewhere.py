"""A bet whose round another process plays is answered when that process commits, and not at some next look:
here nobody ever looks. This process has no worker, as one whose slots are all taken."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client

from api.bet import service as bets
from api.bet.elsewhere import Elsewhere, NoPushes
from api.bet.result_waiter import ResultWaiter
from api.bet.service import Answer, BetService
from api.result.pushes import Pushes
from api.result.service import ResultService
from contracts.rounds import RoundClosed, RoundState
from runtime.round_workflows import RoundWorkflows
from storage.database import Database
from tests.conftest import Services
from tests.e2e.parties import Operator, Player
from tests.support.conditions import HANG_S, until

NEVER_S = 10 * HANG_S


class SilentWorkflows(RoundWorkflows):
    """Starts rounds, and never says that one has ended."""

    async def result(self, workflow_id: str) -> RoundClosed | None:
        await asyncio.Event().wait()
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class OtherProcess:
    """The ingress's part of one."""

    pushes: Pushes
    by_pushes: BetService
    by_temporal: BetService


@pytest.fixture(autouse=True)
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits in this process alone, or for a repeat to be late, waits longer than any test."""
    for patience in ("IN_PROCESS_PATIENCE_S", "LATE_S"):
        monkeypatch.setattr(bets, patience, NEVER_S)


@pytest.fixture
async def other(
    platform: dict[str, Any], services: Services, database: Database, temporal: Client
) -> AsyncIterator[OtherProcess]:
    queue = services.settings.task_queue
    workflows, silent = (
        RoundWorkflows(temporal, task_queue=queue),
        SilentWorkflows(temporal, task_queue=queue),
    )
    results, waiter = ResultService(database, workflows), ResultWaiter()
    pushes = Pushes(services.stack.addresses.application_amqp_url, results)

    def service(workflows: RoundWorkflows, source: Pushes | NoPushes) -> BetService:
        elsewhere = Elsewhere(workflows, results, waiter, source, check_every_s=NEVER_S)
        return BetService(workflows, results, waiter, elsewhere, patience_s=NEVER_S)

    pushes.start()
    try:
        await until(lambda: _connected(pushes))
        yield OtherProcess(pushes, service(silent, pushes), service(workflows, NoPushes()))
    finally:
        await pushes.close()


async def _connected(pushes: Pushes) -> bool:
    return pushes._link.connected


async def bet_and_repeat(service: BetService, player: Player) -> list[Answer]:
    """A first bet, and its repeat while the round is played."""
    bet = player.stored_bet(uuid4().hex)
    repeat = dataclasses.replace(bet, request_id=uuid4().hex)
    first = asyncio.create_task(service.place(bet))
    return list(await asyncio.wait_for(asyncio.gather(first, service.place(repeat)), HANG_S))


@pytest.mark.parametrize("by", ["by_pushes", "by_temporal"])
async def test_a_bet_and_its_repeat_are_answered_when_another_process_settles(
    other: OtherProcess, player: Player, by: str
) -> None:
    for _ in range(5):
        answers = await bet_and_repeat(getattr(other, by), player)
        assert sorted(answer.first for answer in answers) == [False, True]
        (view, again) = (answer.view for answer in answers)
        assert view is not None
        assert view == again
        assert view.state is RoundState.SETTLED
    assert other.pushes._followers == {}


async def test_a_declined_bet_and_its_repeat_are_answered_too(
    other: OtherProcess, operator: Operator
) -> None:
    """It has no event that is pushed, and its workflow ends at once."""
    broke = await operator.open_session(balance=0)
    for answer in await bet_and_repeat(other.by_temporal, broke):
        assert answer.view is not None
        assert answer.view.state is RoundState.DECLINED


@pytest.mark.usefixtures("told")
async def test_a_round_that_waits_for_its_player_is_answered_though_its_workflow_goes_on(
    other: OtherProcess, operator: Operator
) -> None:
    player = await operator.open_session(game_id="lucky-fruits", balance=100_000)
    states = set()
    for _ in range(100):
        for answer in await bet_and_repeat(other.by_pushes, player):
            assert answer.view is not None
            states.add(answer.view.state)
        if RoundState.AWAITING_CHOICE in states:
            return
    raise AssertionError("no round waits")
