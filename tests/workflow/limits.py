"""The limits of the fast path and of an attempt, which are real time however a workflow's own time is
skipped: the seconds of production pass on a busy machine before a round has been played that nothing was to
happen to.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from workflows import policies

# Well before four fifths of a task's timeout, as in production; see stage.TASK_TIMEOUT.
GENEROUS: Final = timedelta(seconds=40)

# Longer than production's two seconds, in which a round has to come to the step that is slow.
MEANT: Final = timedelta(seconds=5)

# Longer than a busy Temporal loses a task (stage.TASK_TIMEOUT), by which a round that hangs in a step is to
# hear of a decision or a cancellation; shorter than a test waits (stage.PATIENCE_S).
ATTEMPT: Final = timedelta(seconds=100)
# The steps that are tried without end.
ENDLESS: Final = ("RESOLVE_ACTIONS", "SETTLE", "ACT", "RELEASE", "EMIT")

attempts_run_out = pytest.mark.attempts_run_out
at_the_limit = pytest.mark.at_the_limit


@pytest.fixture(autouse=True)
def fast_path_limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    meant = request.node.get_closest_marker(at_the_limit.name) is not None
    monkeypatch.setattr(policies, "FAST_PATH_LIMIT", MEANT if meant else GENEROUS)


@pytest.fixture(autouse=True)
def attempt_limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker(attempts_run_out.name) is not None:
        return
    for name in ENDLESS:
        monkeypatch.setattr(policies, name, replace(getattr(policies, name), attempt_limit=ATTEMPT))
