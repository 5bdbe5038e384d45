"""Logs are rotated under a program that writes: what is there stays bounded, what comes later is there."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from compose import process, rotation
from compose.rotation import Limits, older, rotate, rotate_all

LIMITS: Final = Limits(size_bytes=10_000, kept=2)
# Writes until its standard input ends.
WRITER: Final = """
import select, sys
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(1_000):
        sys.stdout.write("a line of its log\\n")
        sys.stdout.flush()
print("the last line")
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "program.log"


def all_of(log: Path) -> list[Path]:
    return sorted(log.parent.iterdir())


def test_a_program_that_writes_on_fills_no_disk(log: Path) -> None:
    limits = Limits(size_bytes=50_000, kept=3)
    with log.open("ab") as output:
        writer = subprocess.Popen([sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=output)
    for _ in range(limits.kept + 2):
        while log.stat().st_size <= limits.size_bytes:
            assert writer.poll() is None
        rotate(log, limits)
    writer.communicate()
    assert writer.returncode == 0
    assert b"\0" not in log.read_bytes(), "what is written after a rotation begins at the file's start"
    assert process.tail(log, 1) == "the last line"
    assert [path.name for path in all_of(log)] == [
        "program.log",
        *(f"program.log.{age}" for age in (1, 2, 3)),
    ]
    assert all(older(log, age).stat().st_size <= 2 * limits.size_bytes for age in (1, 2, 3))


def test_lines_before_during_and_after_a_rotation_are_there_but_for_those_of_one_moment(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = rotation._copy_end
    with log.open("ab", buffering=0) as program:
        program.write(b"before\n" + b"x" * 10_000 + b"\n")

        def copy_while_it_writes(source: int, into: Path, size_bytes: int) -> None:
            program.write(b"during\n")
            copy(source, into, size_bytes)
            program.write(b"lost\n")  # between the last read and the emptying

        monkeypatch.setattr(rotation, "_copy_end", copy_while_it_writes)
        rotate(log, Limits(size_bytes=10_015, kept=1))
        assert all_of(log) == [log], "it was no larger than it may be"
        rotate(log, Limits(size_bytes=10_007, kept=1))
        program.write(b"after\n")
    set_aside = older(log, 1).read_bytes().splitlines()
    assert (set_aside[-1], log.read_bytes()) == (b"during", b"after\n")


def test_the_older_ones_move_on_and_the_oldest_goes(log: Path) -> None:
    for letter in "abcd":
        log.write_text(letter * 10_001)
        log.chmod(0o600)
        rotate(log, LIMITS)
        assert log.read_text() == ""
    assert [path.name for path in all_of(log)] == ["program.log", "program.log.1", "program.log.2"]
    assert [older(log, age).read_text()[0] for age in (1, 2)] == ["d", "c"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in all_of(log)} == {0o600}


def test_what_is_set_aside_is_no_larger_than_a_log_may_be(log: Path) -> None:
    log.write_text("early" + "x" * 50_000 + "late")
    rotate(log, LIMITS)
    assert older(log, 1).stat().st_size == LIMITS.size_bytes
    assert older(log, 1).read_text().endswith("late")


def test_fewer_are_kept_once_the_setting_says_so(log: Path) -> None:
    for age in (1, 2, 3, 4):
        older(log, age).write_text("old")
    log.write_text("x" * 10_001)
    rotate(log, Limits(10_000, kept=0))
    assert [(path.name, path.stat().st_size) for path in all_of(log)] == [("program.log", 0)]


def test_on_a_full_disk_the_log_is_emptied_all_the_same(
    log: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("compose.rotation._copy_end", full)
    log.write_text("x" * 10_001)
    rotate(log, LIMITS)
    assert log.stat().st_size == 0
    assert "program.log is emptied, and could not be set aside: No space left" in caplog.text


def test_a_small_log_what_is_no_log_and_no_folder_are_left_alone(log: Path) -> None:
    log.write_text("x" * 10_000)
    (log.parent / "deaths.json").write_text("x" * 20_000)
    rotate_all(log.parent, LIMITS)
    assert [path.stat().st_size for path in all_of(log)] == [20_000, 10_000]
    rotate_all(log.parent / "nowhere", LIMITS)


def test_the_last_lines_of_a_program_that_died_may_be_in_the_log_before(log: Path) -> None:
    log.write_text("".join(f"{number}\n" for number in range(5_000)))
    rotate(log, LIMITS)
    with log.open("ab") as later:
        later.write(b"last\n")
    assert process.tail(log, 3) == "4998\n4999\nlast"
    assert process.tail(Path(os.devnull) / "nowhere") == ""


def test_what_an_earlier_run_wrote_is_no_last_line_of_this_one(log: Path) -> None:
    log.write_text("".join(f"{number}\n" for number in range(2_000)))
    began = log.stat().st_size
    assert process.tail(log, since=began) == ""
    with log.open("ab") as later:
        later.write(b"first\n")
    assert process.tail(log, since=began) == "first"
    with log.open("ab") as later:
        later.write(b"second\n" * 200)
    rotate(log, LIMITS)
    assert {*process.tail(log, since=began).splitlines()} == {"second"}
    with log.open("ab") as later:
        later.write(b"third\n")
    assert process.tail(log, 2, since=began) == "second\nthird"
