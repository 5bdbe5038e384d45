"""Ends a process in which Temporal's SDK may have run."""

import atexit
import os
import sys
from contextlib import suppress
from typing import Final, NoReturn

SDK_CORE: Final = "temporalio.bridge.temporal_sdk_bridge"


def leave(code: int) -> NoReturn:
    """Ends the process as sys.exit does. Where the SDK's core is loaded, without the finalization of Python:
    a thread of the core that asks for the interpreter meanwhile aborts the process, and its exit code is then
    134 (temporalio/sdk-python#300)."""
    if SDK_CORE not in sys.modules:
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
