"""The fast path tells its process when a round leaves it, however that comes about."""

import asyncio
from typing import Any, cast

import pytest

from activities.money import MoneyActivities
from activities.play import PlayActivities
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
    """Its `reserve` does as it is told."""

    def __init__(self, reserved: Reservation | Exception | None) -> None:
        self._reserved = reserved

    async def reserve(self, bet: Bet) -> Reservation:
        if self._reserved is None:
            await asyncio.Event().wait()
        if isinstance(self._reserved, Exception):
            raise self._reserved
        assert self._reserved is not None
        return self._reserved


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


async def _never(_: object) -> Any:
    raise AssertionError
