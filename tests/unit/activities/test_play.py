"""The fast path tells its process when a round leaves it, however that comes about, and answers for a round
that is not there."""

import asyncio
from typing import Any, cast

import pytest

from activities.money import MoneyActivities
from activities.play import PlayActivities
from contracts.actions import ActionVerdict, ActRequest, PlayerAction
from contracts.choices import Chosen
from contracts.rounds import Bet, Reservation, RoundKey, RoundState

BET = Bet(
    key=RoundKey(operator_id="acme", player_key=7, round_id="r1"),
    player_id="p-1",
    account_id=8,
    session_id="s-1",
    game_id="dice",
    game_version="1.0.0",
    currency="EUR",
    stake=100,
    mode="base",
    choice=None,
    request_id="the-first",
)


class Money:
    """Its `reserve` does as it is told. Of actions it knows no round."""

    def __init__(self, reserved: Reservation | Exception | None) -> None:
        self._reserved = reserved

    async def reserve(self, bet: Bet) -> Reservation:
        if self._reserved is None:
            await asyncio.Event().wait()
        if isinstance(self._reserved, Exception):
            raise self._reserved
        assert self._reserved is not None
        return self._reserved

    async def take_action(self, request: ActRequest) -> tuple[ActionVerdict, None]:
        return ActionVerdict.NOT_FOUND, None


def playing(money: Money, left: list[RoundKey]) -> PlayActivities:
    return PlayActivities(
        cast(MoneyActivities, money), _never, _never, lambda step, took_us: None, left.append
    )


async def test_a_step_that_fails_sends_the_round_on_its_way() -> None:
    left: list[RoundKey] = []
    with pytest.raises(ConnectionError):
        await playing(Money(ConnectionError()), left).play(BET)
    assert left == [BET.key]


async def test_so_does_the_end_of_the_time_that_it_has() -> None:
    left: list[RoundKey] = []
    task = asyncio.create_task(playing(Money(None), left).play(BET))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left == [BET.key]


async def test_a_round_that_comes_to_its_end_here_stays() -> None:
    left: list[RoundKey] = []
    refused = Reservation(state=RoundState.DECLINED, failure_code="insufficient-funds")
    await playing(Money(refused), left).play(BET)
    assert left == []


async def test_an_action_of_a_round_that_is_not_there_is_not_found() -> None:
    action = PlayerAction(action_id="a1", chosen=Chosen(action="collect"), request_id="the-second")
    acted = await playing(Money(None), []).act(ActRequest(bet=BET, action=action))
    assert (acted.verdict, acted.state, acted.open) == (ActionVerdict.NOT_FOUND, RoundState.PENDING, None)
    assert [taken.step for taken in acted.steps] == ["act"]


async def _never(_: object) -> Any:
    raise AssertionError
