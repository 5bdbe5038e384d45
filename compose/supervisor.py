"""`python -m compose.supervisor`: the one process that owns the stack of a home and supervises it.

It starts again what dies (compose/restarts.py), unless it is strict. It runs in a session of its own.
Attached, it stops everything when its standard input closes, so the stack ends with the `up` that started it,
however that ended. Detached, it stops on SIGTERM, which `down` sends. It reports what happens as JSON lines
on standard output, for as long as somebody reads them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
from dataclasses import asdict, dataclass
from typing import Any

from compose.deaths import Death, DeathRecord
from compose.layout import write_json
from compose.problems import StackProblem
from compose.restarts import keep_up, stop_at_the_first
from compose.stack import Listener, Stack
from runtime import logs, settings


class JsonLines(Listener):
    """Writes each event as one JSON object on a line. A reader that has gone is no problem."""

    def report(self, event: str, **facts: Any) -> None:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
            sys.stdout.flush()

    def starting(self, name: str) -> None:
        self.report("starting", name=name)

    def note(self, name: str, text: str) -> None:
        self.report("note", name=name, text=text)

    def ready(self, name: str, seconds: float) -> None:
        self.report("ready", name=name, seconds=round(seconds, 1))

    def stopping(self, name: str) -> None:
        self.report("stopping", name=name)

    def died(self, death: Death) -> None:
        """A component has died; it is started again, unless `restart_in_s` is None."""
        self.report("died", **asdict(death))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line asked for. `attached` ends with standard input; `strict` ends at the first
    death; `ingress` is how many processes of it there are."""

    attached: bool
    services_only: bool
    strict: bool
    ingress: int


async def supervise(chosen: settings.Settings, lines: JsonLines, wishes: Wishes) -> int:
    """Runs the stack until a stop is requested or it cannot go on. Returns the exit code."""
    stop = asyncio.Event()
    await listen_for_the_end(stop, attached=wishes.attached)
    try:
        async with Stack(chosen, lines, ingresses=wishes.ingress) as stack:
            record = DeathRecord(stack.layout)
            record.clear()
            starting = asyncio.ensure_future(start(stack, services_only=wishes.services_only))
            finished = await first_of(starting, stop)
            if not finished:
                return 0
            write_json(stack.layout.stack_file, starting.result())
            lines.report("up", stack=starting.result())
            keeping = stop_at_the_first if wishes.strict else keep_up
            watching = asyncio.ensure_future(keeping(stack, record, lines.died))
            if await first_of(watching, stop):
                watching.result()
    except StackProblem as problem:
        lines.report("problem", text=str(problem), exit_code=problem.exit_code)
        return problem.exit_code
    return 0


async def start(stack: Stack, *, services_only: bool) -> dict[str, Any]:
    """Starts the services, then our programs. Returns what stack.json holds."""
    operator = await stack.start_services(provision=not services_only)
    if not services_only:
        await stack.start_programs()
        await stack.start_codec()
        await stack.start_console()
    return stack.info(operator)


async def first_of(work: asyncio.Future[Any], stop: asyncio.Event) -> bool:
    """Returns whether the work ended before `stop` was set; otherwise cancels it and waits for its end."""
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.is_set():
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return False
    return True


async def listen_for_the_end(stop: asyncio.Event, *, attached: bool) -> None:
    """Sets `stop` on SIGTERM or SIGINT and, attached, at the end of standard input."""
    loop = asyncio.get_running_loop()
    for request in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(request, stop.set)
    if not attached:
        return
    await loop.connect_read_pipe(lambda: EndOfInput(stop), sys.stdin)


class EndOfInput(asyncio.Protocol):
    """Sets an event when a pipe closes, and ignores what comes through it."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()


def main() -> None:
    """Takes --attached, --services-only, --strict and --ingress N. Settings come from the environment and the
    settings file."""
    parser = argparse.ArgumentParser(description=__doc__)
    for flag in ("--attached", "--services-only", "--strict"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--ingress", type=int, default=1)
    wishes = Wishes(**vars(parser.parse_args()))
    lines = JsonLines()
    code = 1
    try:
        chosen = settings.load()
        logs.configure(level="warning", form=chosen.log_format)
        code = asyncio.run(supervise(chosen, lines, wishes))
    except settings.SettingsError as problem:
        code = 2
        lines.report("problem", text=str(problem), exit_code=code)
    except Exception as problem:
        logging.exception("the supervisor failed")
        lines.report("problem", text=f"{type(problem).__name__}: {problem}", exit_code=code)
    lines.report("stopped", exit_code=code)
    # Standard output may have lost its reader; flushing it again at exit would only complain.
    with contextlib.suppress(BrokenPipeError, OSError):
        sys.stdout.close()
    sys.exit(code)


if __name__ == "__main__":
    main()
