"""Traces change nothing that a history is made of: a round goes on in a program that has them, and back."""

from typing import Any, Final
from uuid import uuid4

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from runtime.traces import TemporalTraces
from tests.replay.explained import explained
from tests.replay.fingerprints import WHAT_TO_DO, commands, read, recorded
from tests.replay.paths import AT_THE_LIMIT, PATHS
from tests.replay.test_replay import RECORDED
from tests.support.temporal import PLAIN
from tests.workflow import stage as stages
from tests.workflow.stage import Stage
from workflows.round import RoundWorkflow

# Of the fast path, the durable path, a choice, and a compensation; all of them with --full.
PLAYED: Final = ("settled", "step_by_step", "acted_step_by_step", "void_after_resolve_refused")
HEADER: Final = "_tracer-data"


class Traced:
    """Traces of the tests' own; no other test sees them."""

    def __init__(self) -> None:
        self.sent = InMemorySpanExporter()
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(self.sent))
        self.tracer = self._provider.get_tracer("tests")
        self.interceptor = TemporalTraces(self.tracer)

    @property
    def names(self) -> set[str]:
        return {span.name for span in self.sent.get_finished_spans()}


@pytest.fixture
def traced() -> Traced:
    return Traced()


@pytest.fixture
def unsandboxed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in production, which is where traces are: the sandbox would load the library anew for each round."""
    monkeypatch.setattr(stages, "SANDBOX", UnsandboxedWorkflowRunner())


def replayer(*interceptors: Any) -> Replayer:
    return Replayer(
        workflows=[RoundWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
        data_converter=PLAIN,
        interceptors=interceptors,
    )


@pytest.mark.parametrize("name", RECORDED)
async def test_a_history_recorded_without_traces_replays_with_them(name: str, traced: Traced) -> None:
    with explained(WHAT_TO_DO, name):
        await replayer(traced.interceptor).replay_workflow(recorded(name))
    assert traced.names == set(), "a replay is nothing that happens"


@pytest.mark.parametrize("name", PLAYED)
async def test_a_path_with_traces_asks_for_the_commands_it_was_recorded_with(
    name: str, skipping: Client, traced: Traced, unsandboxed: None
) -> None:
    await plays_as_recorded(name, skipping, traced)


async def test_so_does_every_other_path(
    skipping: Client, traced: Traced, unsandboxed: None, *, full: bool
) -> None:
    """With --full."""
    for name in set(PATHS) - {*PLAYED, *AT_THE_LIMIT} if full else ():
        await plays_as_recorded(name, skipping, traced)


async def plays_as_recorded(name: str, skipping: Client, traced: Traced) -> None:
    client = Client(
        skipping.service_client,
        namespace=skipping.namespace,
        data_converter=skipping.data_converter,
        interceptors=[traced.interceptor],
    )
    with traced.tracer.start_as_current_span("a request"):
        ended = await PATHS[name](Stage(client, uuid4().hex[:8]))
    assert commands(ended.history) == read()[name]
    assert {"StartWorkflow:Round", "RunWorkflow:Round", "RunActivity:play"} <= traced.names
    assert HEADER in _headers(ended.history), "it was traced indeed"
    await replayer().replay_workflow(ended.history)


def _headers(history: WorkflowHistory) -> set[str]:
    return set(history.events[0].workflow_execution_started_event_attributes.header.fields)


def test_no_other_test_is_traced() -> None:
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)
