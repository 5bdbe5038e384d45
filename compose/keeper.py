"""`python -m compose.keeper`: the one process that owns the stack of a home and supervises it.

It runs in a session of its own. Attached, it stops everything when its standard input closes, so the stack
ends with the `up` that started it, however that ended. Detached, it stops on SIGTERM, which `down` sends. It
tells what happens as JSON lines on standard output, for as long as somebody reads them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
from typing import Any

from compose.layout import write_json
from compose.problems import StackProblem
from compose.stack import Listener, Stack
from runtime import settings


class Teller(Listener):
    """Writes what happens as one JSON object for each line. A reader that has gone is no problem."""

    def tell(self, event: str, **facts: Any) -> None:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
            sys.stdout.flush()

    def starting(self, name: str) -> None:
        self.tell("starting", name=name)

    def note(self, name: str, text: str) -> None:
        self.tell("note", name=name, text=text)

    def ready(self, name: str, seconds: float) -> None:
        self.tell("ready", name=name, seconds=round(seconds, 1))

    def stopping(self, name: str) -> None:
        self.tell("stopping", name=name)


async def keep(chosen: settings.Settings, teller: Teller, *, attached: bool, services_only: bool) -> int:
    """Run the stack until somebody asks it to stop or a component dies. Returns the exit code."""
    stop = asyncio.Event()
    await listen_for_the_end(stop, attached=attached)
    try:
        async with Stack(chosen, teller) as stack:
            starting = asyncio.ensure_future(start(stack, services_only=services_only))
            finished = await first_of(starting, stop)
            if not finished:
                return 0
            write_json(stack.layout.stack_file, starting.result())
            teller.tell("up", stack=starting.result())
            death = asyncio.ensure_future(stack.death())
            if await first_of(death, stop):
                raise death.result()
    except StackProblem as problem:
        teller.tell("problem", text=str(problem), exit_code=problem.exit_code)
        return problem.exit_code
    return 0


async def start(stack: Stack, *, services_only: bool) -> dict[str, Any]:
    """The services, then our programs. Returns what stack.json holds."""
    operator = await stack.start_services(provision=not services_only)
    if not services_only:
        await stack.start_programs()
    return stack.info(operator)


async def first_of(work: asyncio.Future[Any], stop: asyncio.Event) -> bool:
    """Whether the work came to its end before the wish to stop did; else it is cancelled and waited for."""
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.is_set():
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return False
    return True


async def listen_for_the_end(stop: asyncio.Event, *, attached: bool) -> None:
    """Set `stop` on SIGTERM or SIGINT and, attached, at the end of standard input."""
    loop = asyncio.get_running_loop()
    for wish in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wish, stop.set)
    if not attached:
        return
    await loop.connect_read_pipe(lambda: EndOfInput(stop), sys.stdin)


class EndOfInput(asyncio.Protocol):
    """Sets an event when a pipe closes; what comes through it before does not matter."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()


def main() -> None:
    """Arguments: --attached, --services-only. Settings come from the environment and the settings file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attached", action="store_true")
    parser.add_argument("--services-only", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    teller = Teller()
    code = 1
    try:
        chosen = settings.load()
        work = keep(chosen, teller, attached=arguments.attached, services_only=arguments.services_only)
        code = asyncio.run(work)
    except settings.SettingsError as problem:
        code = 2
        teller.tell("problem", text=str(problem), exit_code=code)
    except Exception as problem:
        logging.exception("the keeper failed")
        teller.tell("problem", text=f"{type(problem).__name__}: {problem}", exit_code=code)
    teller.tell("stopped", exit_code=code)
    # Standard output may have lost its reader; flushing it again at exit would only complain.
    with contextlib.suppress(BrokenPipeError, OSError):
        sys.stdout.close()
    sys.exit(code)


if __name__ == "__main__":
    main()
