"""The limit of a one go, which is real time however a workflow's own time is skipped: the two seconds of
production pass on a busy machine before a round has been played that nothing was to happen to.
"""

from datetime import timedelta
from typing import Final

import pytest

from workflows import policies

AT_THE_LIMIT: Final = "at_the_limit"
# Well before four fifths of a task's timeout, as in production; see stage.TASK_TIMEOUT.
GENEROUS: Final = timedelta(seconds=40)

at_the_limit = pytest.mark.at_the_limit


def declare(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{AT_THE_LIMIT}: a one go runs into its limit, which is production's")


@pytest.fixture(autouse=True)
def one_go_limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker(AT_THE_LIMIT) is None:
        monkeypatch.setattr(policies, "IN_ONE_GO_LIMIT", GENEROUS)
