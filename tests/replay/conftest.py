"""The paths are played on the Temporal server that tests of workflows share."""

import pytest

from tests.support import temporal
from tests.workflow import limits
from tests.workflow.limits import one_go_limit as one_go_limit


def pytest_configure(config: pytest.Config) -> None:
    temporal.offer(config)
    limits.declare(config)
