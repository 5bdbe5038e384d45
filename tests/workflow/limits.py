"""The limit of the fast path, which is real time however a workflow's own time is skipped: the two seconds of
production pass on a busy machine before a round has been played that nothing was to happen to.
"""

from datetime import timedelta
from typing import Final

import pytest

from workflows import policies

# Well before four fifths of a task's timeout, as in production; see stage.TASK_TIMEOUT.
GENEROUS: Final = timedelta(seconds=40)

# Longer than production's two seconds, in which a round has to come to the step that is slow.
MEANT: Final = timedelta(seconds=5)

at_the_limit = pytest.mark.at_the_limit


@pytest.fixture(autouse=True)
def fast_path_limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    meant = request.node.get_closest_marker(at_the_limit.name) is not None
    monkeypatch.setattr(policies, "FAST_PATH_LIMIT", MEANT if meant else GENEROUS)
