"""promtool for the tests: where it is there or can be had."""

import subprocess
from pathlib import Path

import pytest

from compose import promtool
from compose.problems import Unavailable
from tests.support.conditions import HANG_S


def find() -> Path:
    """The program. Skips the test with how to get it, where this machine neither has nor finds it."""
    try:
        return promtool.find_or_fetch(lambda text: None)
    except Unavailable as problem:
        pytest.skip(str(problem))


def run(program: Path, *arguments: str, folder: Path) -> str:
    """What it says; fails with that when it ends with anything but 0."""
    done = subprocess.run(
        [str(program), *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=HANG_S
    )
    assert done.returncode == 0, f"promtool {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
