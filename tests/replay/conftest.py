"""Paths are played without the limit that a busy machine would reach, as in the tests of workflows."""

from tests.workflow.limits import one_go_limit as one_go_limit
