"""Memory over many rounds: when it is read, how long is played for it, and what a round adds."""

import os
import subprocess
import sys

from bench.memory import Estimate, MemoryPoint, growth_bytes, marks, next_job_s, resident


def point(rounds: int, size: int) -> MemoryPoint:
    return MemoryPoint(rounds, {"program": size})


def test_the_marks_begin_at_none_and_end_at_all() -> None:
    assert marks(50_000) == [0, 1_000, 5_000, 10_000, 20_000, 30_000, 40_000, 50_000]
    assert marks(1) == [0, 1]


def test_the_next_job_plays_about_what_is_missing_within_limits() -> None:
    assert next_job_s(missing=500, rate=100.0) == 5.0
    assert next_job_s(missing=1, rate=100.0) == 0.5
    assert next_job_s(missing=50_000, rate=80.0) == 20.0
    assert next_job_s(missing=50_000, rate=None) == 2.0


def test_growth_counts_from_a_fifth_of_the_rounds_on() -> None:
    points = [point(0, 1_000), point(100, 90_000), point(200, 100_000), point(1_000, 108_000)]
    assert growth_bytes(points, "program") == 10.0


def test_growth_of_one_reading_says_nothing() -> None:
    assert growth_bytes([], "program") is None
    assert growth_bytes([point(0, 1_000)], "program") is None


def test_an_estimate_needs_rounds_to_go_by() -> None:
    assert Estimate(1_000).text(0) == "memory: 0 of 1,000 rounds"
    assert Estimate(1_000).text(500).startswith("memory: 500 of 1,000 rounds, ")


def test_a_family_is_its_processes_and_their_children() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as parent:
        alone = resident({"here": [os.getpid()]})["here"]
        found = resident({"parent": [parent.pid], "nobody": []})
        parent.communicate(b"\n")
    assert alone > found["parent"] > 0
    assert found["nobody"] == 0
    assert resident({"gone": [parent.pid]}) == {"gone": 0}
