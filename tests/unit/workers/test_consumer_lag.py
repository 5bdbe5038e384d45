"""How far behind the statistics are, by the events in hand."""

import pytest

from workers.statistics import LATELY_S, Lag

AT_1000_S = "1970-01-01T00:16:40.000000Z"


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_nothing_that_came_is_no_lag() -> None:
    assert Lag(Clock()).seconds() == 0


def test_events_in_hand_grow_older_until_they_are_applied() -> None:
    clock = Clock()
    lag = Lag(clock)
    with lag.of(AT_1000_S):
        for clock.now_s in (1_005.0, 1_060.0):
            assert lag.seconds() == clock.now_s - 1_000
    clock.now_s += LATELY_S - 1
    assert lag.seconds() == 60, "the next batch of many is on its way"
    clock.now_s += 1
    assert lag.seconds() == 0


def test_events_that_could_not_be_applied_count_until_they_are_tried_again() -> None:
    clock = Clock()
    lag = Lag(clock)
    clock.now_s = 1_030.0
    with pytest.raises(ConnectionError), lag.of(AT_1000_S):
        raise ConnectionError
    assert lag.seconds() == 30


def test_a_clock_that_is_behind_the_databases_shows_no_lag_below_0() -> None:
    clock = Clock()
    lag = Lag(clock)
    clock.now_s = 990.0
    with lag.of(AT_1000_S):
        assert lag.seconds() == 0
    assert lag.seconds() == 0


def test_an_event_without_a_time_is_applied_all_the_same() -> None:
    lag = Lag(Clock())
    with lag.of("yesterday"):
        assert lag.seconds() == 0
