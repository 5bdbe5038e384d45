"""The processes that `croupier test` starts, and their end: nothing that a test started outlives the run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO

import psutil

from compose import control, process
from compose.problems import AlreadyRunning
from runtime.settings import PROJECT_ROOT, Settings

# pytest ends its workers and their stacks in an orderly way meanwhile.
STOP_LIMIT_S = 60.0
PATIENCE_S = 5.0
# Linux's prctl: processes that lose their parent become children of this one.
SET_CHILD_SUBREAPER = 36
BUSY = "while True: pass"
# A test names its home by its process: tests-PID, tests-drill-PID.
HOME = re.compile(r"tests-(?:.+-)?(\d+)")
REAP_EVERY_S = 0.1

# What `start` started is waited for by whoever started it, and by nobody else.
_started: set[int] = set()
_starting = threading.Lock()


@contextlib.contextmanager
def ended_with_this_run() -> Iterator[None]:
    """Ctrl-C and SIGTERM leave the block as KeyboardInterrupt; what still runs at its end is ended, whoever
    started it, and the homes of stacks whose tests were killed are removed.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    remove_homes()
    try:
        with _orphans_reaped():
            yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        end_descendants()
        remove_homes()


def start(argv: Sequence[str], *, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Start a program of our environment in a session of its own, so that a terminal's Ctrl-C reaches only
    this process; it is interrupted when this process dies. Its output goes to ours, or to `output`.
    """
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
    survives_nobody = (setpriv, "--pdeathsig", "INT", "--") if setpriv else ()
    with _starting:
        started = subprocess.Popen(
            [*survives_nobody, *argv],
            cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            start_new_session=True,
        )
        _started.add(started.pid)
    return started


@contextlib.contextmanager
def _orphans_reaped() -> Iterator[None]:
    """A process that lost its parent is this one's child. Until it is reaped, it is still there for a test
    that waits for its end.
    """
    done = threading.Event()
    reaper = threading.Thread(target=_reap_until, args=(done,), daemon=True)
    reaper.start()
    try:
        yield
    finally:
        done.set()
        reaper.join()


def _reap_until(done: threading.Event) -> None:
    while not done.wait(REAP_EVERY_S):
        with _starting, contextlib.suppress(ChildProcessError):
            while (ended := _ended_child()) is not None and ended not in _started:
                os.waitpid(ended, 0)


def _ended_child() -> int | None:
    """A child that has ended and was not waited for; it stays so."""
    found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return None if found is None else found.si_pid


def interrupt(running: subprocess.Popen[bytes]) -> None:
    """Ask for an orderly end and wait for it, but not for ever."""
    running.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(STOP_LIMIT_S)


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Keep one core busy inside the block."""
    loop = start([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def end_descendants() -> None:
    """End every process below this one, orphans included."""
    left = psutil.Process().children(recursive=True)
    for one in left:
        with contextlib.suppress(psutil.Error):
            one.terminate()
    process.end_all(left, patience_seconds=PATIENCE_S)


def remove_homes() -> None:
    """Remove the homes of tests whose process has ended, with what they left running. That of a process that
    lives is another run's, and may be between two of its stacks.
    """
    for home in sorted((PROJECT_ROOT / ".local").glob("tests-*")):
        named = HOME.fullmatch(home.name)
        if named is None or psutil.pid_exists(int(named[1])):
            continue
        with contextlib.suppress(AlreadyRunning):  # its test was killed, and its stack goes on
            control.reset(Settings(home=home))
            shutil.rmtree(home, ignore_errors=True)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))
