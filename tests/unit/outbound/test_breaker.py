"""The breaker opens, pauses and tries; the bulkhead has so many permits and no more."""

import asyncio
import contextlib

import pytest

from outbound.breaker import Away, Breaker, Bulkhead, Busy
from tests.support.conditions import HANG_S


class Time:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def breaker(time: Time) -> Breaker:
    return Breaker(unknowns=3, pause_s=10, now_s=time)


def passes(breaker: Breaker) -> bool:
    try:
        with breaker.passage():
            return True
    except Away:
        return False


def calls(breaker: Breaker, *outcomes: bool) -> None:
    for certain in outcomes:
        with breaker.passage():
            breaker.record(certain=certain)


def test_it_opens_after_so_many_unknown_outcomes_in_a_row(breaker: Breaker) -> None:
    calls(breaker, False, False, True, False, False)
    assert passes(breaker)
    calls(breaker, False)
    assert not passes(breaker)


def test_after_the_pause_one_call_tries_and_closes_it(breaker: Breaker, time: Time) -> None:
    calls(breaker, False, False, False)
    time.now_s += 9.9
    assert not passes(breaker)
    time.now_s += 0.1
    with breaker.passage():
        assert not passes(breaker)
        breaker.record(certain=True)
    calls(breaker, False, False)
    assert passes(breaker)


def test_a_trial_that_fails_opens_it_again(breaker: Breaker, time: Time) -> None:
    calls(breaker, False, False, False)
    time.now_s += 10
    calls(breaker, False)
    assert not passes(breaker)
    time.now_s += 10
    assert passes(breaker)


def test_a_trial_that_is_cancelled_leaves_its_turn_to_the_next(breaker: Breaker, time: Time) -> None:
    calls(breaker, False, False, False)
    time.now_s += 10
    with contextlib.suppress(asyncio.CancelledError), breaker.passage():
        raise asyncio.CancelledError
    calls(breaker, True)
    assert passes(breaker)


def test_calls_that_end_late_count_too(breaker: Breaker, time: Time) -> None:
    with breaker.passage(), breaker.passage():
        calls(breaker, False, False, False)
        time.now_s += 9
        breaker.record(certain=False)
        time.now_s += 9
        assert not passes(breaker)
        breaker.record(certain=True)
    assert passes(breaker)


def test_what_may_concern_one_alone_counts_once_for_it(breaker: Breaker, time: Time) -> None:
    for _ in range(20):
        breaker.record(certain=False, of="anna")
    assert passes(breaker)
    breaker.record(certain=False, of="ben")
    assert passes(breaker)
    breaker.record(certain=False)
    assert not passes(breaker)


def test_what_may_concern_one_alone_counts_again_after_a_certain_outcome(breaker: Breaker) -> None:
    for who in ("anna", "ben"):
        breaker.record(certain=False, of=who)
    breaker.record(certain=True)
    for who in ("anna", "ben"):
        breaker.record(certain=False, of=who)
    assert passes(breaker)
    breaker.record(certain=False, of="carl")
    assert not passes(breaker)


def test_a_trial_that_fails_for_one_who_failed_before_is_left_to_the_next(
    breaker: Breaker, time: Time
) -> None:
    for who in ("anna", "ben", "carl"):
        breaker.record(certain=False, of=who)
    time.now_s += 10
    with breaker.passage():
        breaker.record(certain=False, of="anna")
    with breaker.passage():
        breaker.record(certain=False, of="dora")
    assert not passes(breaker)


async def test_who_finds_no_permit_waits_and_is_then_refused() -> None:
    bulkhead = Bulkhead(permits=2, wait_s=0.05)
    async with bulkhead.permit(), bulkhead.permit():
        with pytest.raises(Busy):
            async with bulkhead.permit():
                pass
    async with bulkhead.permit(), bulkhead.permit():
        pass


async def test_who_waits_is_counted_until_it_has_a_permit_or_gives_up() -> None:
    heard: list[int] = []
    bulkhead = Bulkhead(permits=1, wait_s=0.02, waiting=heard.append)
    async with bulkhead.permit():
        assert heard == [+1, -1]
        refused = asyncio.create_task(_enter(bulkhead))
        await asyncio.sleep(0)
        assert sum(heard) == 1
        with pytest.raises(Busy):
            await refused
        left = asyncio.create_task(_enter(bulkhead))
        await asyncio.sleep(0)
        assert sum(heard) == 1
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
    assert sum(heard) == 0


async def _enter(bulkhead: Bulkhead) -> None:
    async with bulkhead.permit():
        pass


async def test_a_permit_that_comes_free_in_time_is_taken() -> None:
    bulkhead = Bulkhead(permits=1, wait_s=HANG_S)

    async def hold() -> None:
        async with bulkhead.permit():
            await asyncio.sleep(0.02)

    await asyncio.gather(*(hold() for _ in range(3)))


async def test_permits_come_back_from_calls_that_are_cancelled() -> None:
    bulkhead = Bulkhead(permits=1, wait_s=HANG_S)

    async def hold() -> None:
        async with bulkhead.permit():
            await asyncio.sleep(60)

    holding, waiting = asyncio.create_task(hold()), asyncio.create_task(hold())
    await asyncio.sleep(0)
    for task in (waiting, holding):
        task.cancel()
    await asyncio.gather(holding, waiting, return_exceptions=True)
    async with bulkhead.permit():
        pass


async def test_closing_waits_for_the_calls_under_way() -> None:
    bulkhead = Bulkhead(permits=2, wait_s=0.02)
    async with bulkhead.permit():
        closing = asyncio.create_task(bulkhead.close())
        await asyncio.sleep(0)
        assert not closing.done()
    await closing
    with pytest.raises(Busy):
        async with bulkhead.permit():
            pass
