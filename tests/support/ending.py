"""The end of a run whose services do not start."""

from typing import NoReturn

import pytest


def end_run(session: pytest.Session, why: str) -> NoReturn:
    """Fails the test, and ends the whole run with `why` as its last word. pytest.exit says nothing of its
    reason when a worker of pytest-xdist calls it, and looks like a fault of xdist."""
    session.shouldstop = why
    pytest.fail(why, pytrace=False)
