"""`croupier test`: which tests run in which order, and what a person is told of what failed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cli.testing import children, coverage, run
from cli.testing.failures import Failures
from cli.testing.run import Choices
from compose.layout import Layout
from runtime.settings import PROJECT_ROOT
from tests.support.conditions import HANG_S

# A run whose test leaves a program behind that has no parent any more, and then waits for ever.
LEAVES_AN_ORPHAN = """
import subprocess, sys, time
from cli.testing import children

with children.ended_with_this_run():
    orphan = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"
    children.start([sys.executable, "-c", orphan]).wait()
    time.sleep(600)
"""


@pytest.fixture
def kept(tmp_path: Path) -> Failures:
    return Failures(tmp_path)


def test_the_order_is_that_of_the_files_unless_asked_otherwise(kept: Failures) -> None:
    assert list(Choices().seeds()) == [None]
    assert not any("random" in word for word in run.pytest_command(Choices(), None, kept))


def test_a_seed_gives_its_order() -> None:
    assert list(Choices(seed=7).seeds()) == [7]


def test_each_repetition_has_an_order_of_its_own(kept: Failures) -> None:
    orders = list(Choices(repeat=3).seeds())
    assert len(set(orders)) == 3
    assert list(Choices(repeat=3, seed=7).seeds()) == [7, 8, 9]
    assert "--random-order-seed=8" in run.pytest_command(Choices(), 8, kept)


def test_a_fresh_checkout_is_known_by_tests_that_were_never_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run._compiled() or sys.dont_write_bytecode, "this very run has compiled them"
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    assert not run._compiled()


def test_all_tests_share_the_machine_among_several_workers(kept: Failures) -> None:
    assert "-n" in run.pytest_command(Choices(), None, kept)
    assert run.workers() > 1


def test_chosen_tests_run_in_one_process_with_the_arguments_as_they_were_given(kept: Failures) -> None:
    command = run.pytest_command(Choices(pytest_arguments=("tests/unit", "-k", "dice")), None, kept)
    assert command[-3:] == ["tests/unit", "-k", "dice"]
    assert "-n" not in command


def test_a_failure_is_told_with_the_files_that_have_more(tmp_path: Path) -> None:
    folder = PROJECT_ROOT / ".local" / f"tests-of-failures-{os.getpid()}"
    folder.mkdir(parents=True)
    try:
        for name in ("000-one", "001-two"):
            (folder / f"{name}.json").write_text(json.dumps({"test": "tests/test_x.py::test_y[z]"}))
        (line,) = Failures(folder).lines()
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert line.startswith("tests/test_x.py::test_y[z]: 2 x, see .local/")
    assert "000-one.txt" in line


def test_nothing_failed_and_nothing_is_told(kept: Failures) -> None:
    assert kept.lines() == []


def test_lines_that_did_not_run_are_told_as_ranges() -> None:
    assert coverage.ranges([3, 4, 5, 9, 11, 12]) == "3-5, 9, 11-12"
    assert coverage.ranges([]) == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_what_its_tests_left_behind(number: signal.Signals) -> None:
    with _running(LEAVES_AN_ORPHAN) as running:
        assert running.stdout is not None
        orphan = psutil.Process(int(running.stdout.readline()))
        _wait_until(lambda: orphan.parent() == psutil.Process(running.pid))
        running.send_signal(number)
        assert running.wait(HANG_S) != 0
    assert not orphan.is_running()


def test_the_home_of_a_test_that_lives_stays_and_that_of_a_dead_one_goes() -> None:
    """Another run's test may be between two stacks: nothing of its home runs then."""
    ended = subprocess.Popen(["/bin/true"])
    ended.wait(HANG_S)
    homes = [PROJECT_ROOT / ".local" / f"tests-of-homes-{pid}" for pid in (os.getpid(), ended.pid)]
    try:
        for home in homes:
            Layout(home).create()
        children.remove_homes()
        assert [home.exists() for home in homes] == [True, False]
    finally:
        for home in homes:
            shutil.rmtree(home, ignore_errors=True)


def test_a_run_that_is_killed_interrupts_its_tests(tmp_path: Path) -> None:
    told = tmp_path / "told"
    waits = f"""
import time
try:
    print("waits", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    open({str(told)!r}, "w").close()
"""
    starts = f"from cli.testing import children; children.start(['{sys.executable}', '-c', {waits!r}]).wait()"
    with _running(starts) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"waits\n"
        running.kill()
        _wait_until(told.exists)


@contextmanager
def _running(source: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program, which ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-c", source], cwd=PROJECT_ROOT, stdout=subprocess.PIPE
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
