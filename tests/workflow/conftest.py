"""A stage of its own for each round, on a Temporal server that all of them share."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from temporalio.client import Client

from tests.workflow.limits import attempt_limit as attempt_limit
from tests.workflow.limits import fast_path_limit as fast_path_limit
from tests.workflow.stage import Stage


@pytest.fixture
def waiting_stage(steady: Client) -> Stage:
    return Stage(steady, uuid4().hex[:8])


@pytest.fixture
def new_stage(skipping: Client) -> Callable[[], Stage]:
    return lambda: Stage(skipping, uuid4().hex[:8])


@pytest.fixture
def stage(new_stage: Callable[[], Stage]) -> Stage:
    return new_stage()
