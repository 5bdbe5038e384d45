"""Each line of a log in JSON is one object, whoever writes it; and names the request that it is about."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest
from temporalio.bridge.runtime import BufferedLogEntry
from temporalio.runtime import LogForwardingConfig

from contracts.requests import CURRENT
from runtime import logs
from runtime.request_ids import RequestIds
from runtime.settings import PROJECT_ROOT

TRACED: Final = "mine." + "ab" * 16 + "cd" * 8
# What Python itself, or somebody's library, would print in a form of its own.
NOISE: Final = r"""
import asyncio, logging, threading, warnings, weakref
from runtime import logs

logs.configure(level="debug", form="json")
log = logging.getLogger("noise")
log.info("two\nlines, and \u00e4 \udc80 \x1b[31mred\x1b[0m")
log.info("values that do not fit %d", "x")
warnings.warn("a warning")

class Broken:
    def __del__(self): raise ValueError("in del")

Broken()
thread = threading.Thread(target=lambda: 1 / 0, name="a-thread")
thread.start()
thread.join()

async def fails(): raise ValueError("nobody asks")

async def main():
    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    del task
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("with a traceback")

asyncio.run(main())
raise RuntimeError("at the end")
"""


@pytest.fixture
def request_id() -> Iterator[str]:
    before = CURRENT.set(TRACED)
    yield TRACED
    CURRENT.reset(before)


def line(message: str = "said", **more: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "a.logger", "levelname": "INFO", "msg": message, **more})


def test_every_line_is_one_object_whoever_writes_it() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", NOISE], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert ended.stdout == ""
    said = [json.loads(one) for one in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert all(set(one) <= {"at", "level", "logger", "message", "exception"} for one in said)
    told = "\n".join(one["message"] + one.get("exception", "") for one in said)
    for part in ("two\nlines", "values that do not fit %d", "a warning", "in del", "a-thread"):
        assert part in told
    for part in ("ZeroDivisionError", "nobody asks", "with a traceback", "at the end"):
        assert part in told
    assert len(said) == 8


def test_a_line_names_the_request_that_it_is_about_and_its_trace(request_id: str) -> None:
    found = json.loads(logs.JsonFormatter().format(line()))
    assert (found["request_id"], found["trace_id"]) == (request_id, "ab" * 16)
    CURRENT.set("untraced")
    found = json.loads(logs.JsonFormatter().format(line()))
    assert (found["request_id"], "trace_id" in found) == ("untraced", False)
    CURRENT.set(None)
    assert "request_id" not in json.loads(logs.JsonFormatter().format(line()))


def test_for_people_the_request_is_in_the_line_once(request_id: str) -> None:
    text = logs.TextFormatter()
    assert text.format(line()).endswith(f"a.logger: said (request {request_id})")
    assert text.format(line(f"request {request_id} failed")).count(request_id) == 1
    CURRENT.set(None)
    assert text.format(line()).endswith("a.logger: said")


def test_the_sdks_core_writes_through_pythons_logging_in_programs_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert logs.of_the_sdk() is None, "no log of its own was configured here"
    monkeypatch.setattr(logs, "_configured", True)
    ours = logs.of_the_sdk()
    assert ours is not None
    caplog.set_level(logging.WARNING)
    LogForwardingConfig(ours, append_target_to_name=False)._on_logs([_core_said("retrying")])
    (record,) = caplog.records
    assert record.name == "temporalio.core"
    assert json.loads(logs.JsonFormatter().format(record))["message"].startswith(
        "[sdk_core::client] retrying"
    )


def _core_said(message: str) -> BufferedLogEntry:
    class Said:
        target, level, time, fields = "client", logging.WARNING, 1_700_000_000.0, {"attempt": 3}

        def __init__(self) -> None:
            self.message = message

    return Said()


class Step:
    """As much of an activity as an interceptor sees."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []

    async def execute_activity(self, asked: Any) -> None:
        self.seen.append(CURRENT.get())


class Named:
    """A step's input."""

    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ([Named(request_id="bets")], "bets"),
        ([Named(bet=Named(request_id="bets"))], "bets"),
        ([Named(bet=Named(request_id="bets"), action=Named(request_id="actions"))], "actions"),
        ([Named(event_id="e")], None),
        ([], None),
    ],
)
async def test_an_activity_logs_for_its_rounds_request(given: list[Any], seen: str | None) -> None:
    step = Step()
    inbound = RequestIds().intercept_activity(step)  # type: ignore[arg-type]  # all that is called
    await asyncio.create_task(inbound.execute_activity(Named(args=given)))  # type: ignore[arg-type]
    assert step.seen == [seen]
