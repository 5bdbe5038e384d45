"""The limit of the fast path, which is real time however a workflow's own time is skipped: the two seconds of
production pass on a busy machine before a round has been played that nothing was to happen to.
"""

from datetime import timedelta
from typing import Final

import pytest

from workflows import policies

# Well before four fifths of a task's timeout, as in production; see stage.TASK_TIMEOUT.
GENEROUS: Final = timedelta(seconds=40)

at_the_limit = pytest.mark.at_the_limit


@pytest.fixture(autouse=True)
def fast_path_limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker(at_the_limit.name) is None:
        monkeypatch.setattr(policies, "FAST_PATH_LIMIT", GENEROUS)
