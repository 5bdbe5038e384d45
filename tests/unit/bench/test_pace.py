"""A latency counts from when the round was due: the correction for coordinated omission."""

from collections.abc import Callable

import pytest

from bench.pace import ClosedLoop, OpenLoop, Pace


def latencies(pace: Pace, service: Callable[[int], float], *, until: float) -> list[float]:
    """Plays `pace` over one connection on a clock that is only a number; `service` gives how long each round
    takes once it is sent."""
    now, found = 0.0, list[float]()
    while now < until:
        since = pace.take(now)
        if since is not None:
            now += service(len(found))
            found.append(now - since)
        elif (due := pace.due_at()) is not None:
            now = max(now, due)
        else:
            break
    return found


def stalls_once(number: int) -> float:
    """The eleventh round takes a second, the others a millisecond."""
    return 1.0 if number == 10 else 0.001


def test_an_open_loop_shows_a_stall_in_every_round_that_was_due_meanwhile() -> None:
    found = latencies(OpenLoop(rate=100, start=0.0, end=3.0), stalls_once, until=10.0)
    assert len(found) == 300
    assert max(found) == pytest.approx(1.0)
    assert sum(latency > 0.05 for latency in found) > 90
    assert found[11] == pytest.approx(1.0 - 0.01 + 0.001)


def test_a_closed_loop_shows_the_same_stall_once() -> None:
    found = latencies(ClosedLoop(end=3.0), stalls_once, until=10.0)
    assert sum(latency > 0.05 for latency in found) == 1


def test_an_open_loop_keeps_its_rate_when_nothing_is_slow() -> None:
    found = latencies(OpenLoop(rate=50, start=0.0, end=2.0), lambda _: 0.001, until=10.0)
    assert found == [pytest.approx(0.001)] * 100


def test_an_open_loop_has_nothing_due_before_its_time() -> None:
    pace = OpenLoop(rate=10, start=5.0, end=6.0)
    assert pace.take(4.99) is None
    assert pace.take(5.0) == 5.0
    assert pace.take(5.05) is None
    assert pace.due_at() == pytest.approx(5.1)


def test_what_was_due_and_never_sent_is_known_at_the_end() -> None:
    pace = OpenLoop(rate=10, start=0.0, end=1.0)
    pace.take(0.0)
    assert pace.overdue(20.0) == [pytest.approx(number / 10) for number in range(1, 10)]
    assert pace.due_at() is None


def test_a_closed_loop_ends_for_good() -> None:
    pace = ClosedLoop(end=1.0)
    assert pace.take(0.5) == 0.5
    assert pace.take(1.0) is None
    assert pace.due_at() is None
