"""A process ends with its own exit code, also where Temporal's SDK is at work behind it."""

import subprocess
import sys

import pytest

from runtime.settings import PROJECT_ROOT

PROGRAM = """
import atexit, sys, types
from runtime.leaving import SDK_CORE, leave
if {loaded}:
    sys.modules[SDK_CORE] = types.ModuleType("core")
atexit.register(print, "at exit")
print("said", end=" ")
leave({code})
"""


@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("code", [0, 2])
def test_a_process_ends_with_its_code_and_all_that_it_said(code: int, loaded: bool) -> None:
    argv = [sys.executable, "-c", PROGRAM.format(code=code, loaded=loaded)]
    ended = subprocess.run(argv, capture_output=True, text=True, cwd=PROJECT_ROOT, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "said at exit\n", "")
