"""Rounds that an earlier version began go on with this one: every recorded history replays."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.workflow import NondeterminismError

from tests.replay.changed import (
    KnowsNoVersions,
    NeverEmits,
    NeverReleases,
    ReleasesWhatItShouldSettle,
    SkipsTheFastPath,
    TriesTheFastPathTwice,
)
from tests.replay.explained import explained
from tests.replay.fingerprints import HISTORIES, WHAT_TO_DO, commands, read, recorded
from tests.replay.paths import AT_THE_LIMIT, PATHS
from tests.support.sandbox import Sandbox
from tests.support.temporal import IDENTITY, PLAIN
from tests.workflow.limits import at_the_limit
from tests.workflow.stage import Stage
from workflows.round import RoundWorkflow

RECORDED = sorted(file.stem for file in HISTORIES.glob("*.json"))


@pytest.mark.parametrize(
    "runner",
    [Sandbox(), UnsandboxedWorkflowRunner()],
    ids=["in-the-sandbox", "as-in-production"],
)
@pytest.mark.parametrize("name", RECORDED)
async def test_a_recorded_history_replays(name: str, runner: WorkflowRunner) -> None:
    with explained(WHAT_TO_DO, name):
        replayer = Replayer(workflows=[RoundWorkflow], workflow_runner=runner, data_converter=PLAIN)
        await replayer.replay_workflow(recorded(name))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=at_the_limit) if name in AT_THE_LIMIT else name for name in PATHS]
)
async def test_a_path_still_asks_for_the_commands_it_was_recorded_with(name: str, skipping: Client) -> None:
    """Sees also what a replay does not: a path that leaves the recorded one or goes on beyond it."""
    with explained(WHAT_TO_DO, name):
        ended = await PATHS[name](Stage(skipping, uuid4().hex[:8]))
        assert commands(ended.history) == read()[name]


@pytest.mark.parametrize("name", PATHS)
def test_the_file_of_commands_tells_what_is_recorded(name: str) -> None:
    assert commands(recorded(name)) == read()[name]


def test_every_path_is_recorded_and_every_recording_belongs_to_a_path() -> None:
    assert {name.split(".")[0] for name in RECORDED} == set(PATHS)
    assert list(read()) == list(PATHS)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        (SkipsTheFastPath, "settled"),
        (SkipsTheFastPath, "step_by_step"),
        # So no round begins with them while such a program may come back.
        (KnowsNoVersions, "settled_by_named_steps"),
        (KnowsNoVersions, "step_by_step_after_named_steps"),
        (KnowsNoVersions, "collected_after_named_steps"),
        (TriesTheFastPathTwice, "step_by_step"),
        (TriesTheFastPathTwice, "slow_settle"),
        (ReleasesWhatItShouldSettle, "step_by_step"),
        (ReleasesWhatItShouldSettle, "slow_settle"),
        (NeverEmits, "unconfirmed"),
        (NeverEmits, "step_by_step"),
        (NeverEmits, "void_after_resolve_refused"),
        (NeverReleases, "void_after_reserve_uncertain"),
        (NeverReleases, "cancelled_before_it_began"),
        (NeverReleases, "cancelled_during_resolve"),
    ],
)
async def test_a_history_does_not_replay_on_a_workflow_that_was_changed(changed: type, name: str) -> None:
    replayer = Replayer(
        workflows=[changed], workflow_runner=UnsandboxedWorkflowRunner(), data_converter=PLAIN
    )
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(recorded(name))


@pytest.mark.parametrize("name", RECORDED)
def test_a_recording_tells_nothing_of_the_machine_that_made_it(name: str) -> None:
    text = (HISTORIES / f"{name}.json").read_text()
    assert set(_values_of("identity", json.loads(text))) == {IDENTITY}
    assert "stackTrace" not in text
    assert socket.gethostname() not in text
    assert not re.search(r'"[^"]*/(home|root|tmp|usr|work)/', text)


def _values_of(key: str, part: Any) -> Iterator[Any]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == key:
                yield value
            yield from _values_of(key, value)
    elif isinstance(part, list):
        for item in part:
            yield from _values_of(key, item)
