"""The commands of a recorded or played history, one a line, and the file that says what they should be."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

HISTORIES: Final = Path(__file__).with_name("histories")
FINGERPRINTS: Final = Path(__file__).with_name("commands.txt")

WHAT_TO_DO: Final = """
RoundWorkflow no longer does on the path "{path}" what it did when that path was recorded.

If you did not mean to change its commands, undo the change: rounds that are open when it is deployed could
not go on. If you did:
  1. Rounds of the old version may be open in production. Keep their commands in the code, in the other
     branch of `if workflow.patched("name-of-the-change")`, and keep the old recording: copy it to
     tests/replay/histories/{path}.before-name-of-the-change.json, which is replayed from then on.
  2. Record the path anew:  .venv/bin/python -m tests.replay.record {path}
     and read the difference in tests/replay/commands.txt as you would read code.
If nothing was ever deployed, step 2 is enough.
"""


def commands(history: WorkflowHistory) -> list[str]:
    """What the workflow asked for, in order. Everything else in a history is the server's doing."""
    return [line for event in history.events for line in _command(event)]


def read() -> dict[str, list[str]]:
    """The commands of each path, as the file has them."""
    paths: dict[str, list[str]] = {}
    for line in FINGERPRINTS.read_text().splitlines():
        if line.startswith(" "):
            paths[list(paths)[-1]].append(line.strip())
        elif line and not line.startswith("#"):
            paths[line] = []
    return paths


def write(paths: dict[str, list[str]]) -> None:
    head = "# What RoundWorkflow asks for on each of its paths. Made by: python -m tests.replay.record\n"
    blocks = ["\n".join([path, *(f"    {line}" for line in lines)]) for path, lines in paths.items()]
    FINGERPRINTS.write_text(head + "\n" + "\n\n".join(blocks) + "\n")


def recorded(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"round-{name}", (HISTORIES / f"{name}.json").read_text())


def _command(event: HistoryEvent) -> Iterator[str]:
    match event.WhichOneof("attributes"):
        case "marker_recorded_event_attributes":
            marker = event.marker_recorded_event_attributes
            if marker.marker_name == "core_patch":
                yield "patch"
                return
            step = json.loads(marker.details["data"].payloads[0].data)["activity_type"]
            yield f"{step}: local activity" + (" (it failed)" if marker.HasField("failure") else "")
        case "activity_task_scheduled_event_attributes":
            yield f"{event.activity_task_scheduled_event_attributes.activity_type.name}: activity"
        case (
            "workflow_execution_update_accepted_event_attributes"
            | "workflow_execution_update_completed_event_attributes"
        ):
            yield EventType.Name(event.event_type).removeprefix("EVENT_TYPE_WORKFLOW_EXECUTION_").lower()
        case "activity_task_cancel_requested_event_attributes":
            yield "cancel that activity"
        case (
            "workflow_execution_completed_event_attributes"
            | "workflow_execution_failed_event_attributes"
            | "workflow_execution_canceled_event_attributes"
        ):
            yield EventType.Name(event.event_type).removeprefix("EVENT_TYPE_WORKFLOW_EXECUTION_").lower()
        case "timer_started_event_attributes" | "timer_canceled_event_attributes":
            yield EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
        case _:
            return
