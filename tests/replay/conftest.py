"""Paths are played without the limit that a busy machine would reach, as in the tests of workflows."""

from tests.workflow.limits import attempt_limit as attempt_limit
from tests.workflow.limits import fast_path_limit as fast_path_limit
