"""`croupier replay --live N`: reads, replays with a bar for a person, and prints what does not go on."""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from temporalio.service import RPCError

from cli.services import CannotShow, where
from contracts.failures import one_line
from runtime.services import Unreachable, load_keyring
from runtime.settings import Settings
from runtime.temporal import connect_temporal
from security.keyring import KeyringInvalid
from verification import replays
from verification.replays import Advance, Replays

ALL_GO_ON: Final = 0
SOME_DO_NOT: Final = 1
CANNOT_REPLAY: Final = 2
# Whoever has more failures than this has one reason for most of them.
NAMED: Final = 50


def run(settings: Settings, *, closed: int, as_json: bool) -> int:
    """Prints how many were replayed and which failed. Returns 0 when none did, 1 when some did, 2 when they
    cannot be read."""
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    try:
        found = asyncio.run(_replayed(settings, closed))
    except (CannotShow, Unreachable, KeyringInvalid) as problem:
        return _cannot(str(problem))
    except RPCError as error:
        return _cannot(f"Temporal (CROUPIER_TEMPORAL_ADDRESS): {error.status.name}: {error.message}")
    if as_json:
        sys.stdout.write(json.dumps(found.as_dict(), indent=2) + "\n")
    else:
        typer.echo("\n".join(_lines(found)))
    return SOME_DO_NOT if found.failures else ALL_GO_ON


def _cannot(why: str) -> int:
    typer.echo(f"croupier: {one_line(why)}", err=True)
    return CANNOT_REPLAY


async def _replayed(settings: Settings, closed: int) -> Replays:
    reached, _ = where(settings)
    client = await connect_temporal(reached, load_keyring(reached))
    with _progress() as advance:
        return await replays.replay(client, reached.task_queue, closed=closed, advance=advance)


def _lines(found: Replays) -> Iterator[str]:
    for name in sorted(found.open | found.closed):
        failed = sum(failure.workflow_type == name for failure in found.failures)
        mark = "✗" if failed else "✓"
        how = f"{failed:,} of them do not go on with this code" if failed else "all go on with this code"
        yield f"{mark} {name}: {found.open[name]:,} open, {found.closed[name]:,} closed; {how}"
    if not found.open | found.closed:
        yield "no workflow of ours in this namespace"
    if found.gone:
        yield f"{found.gone:,} were forgotten meanwhile"
    for failure in found.failures[:NAMED]:
        state = "open" if failure.is_open else "closed"
        which = f"{failure.workflow_type} {failure.workflow_id} (run {failure.run_id}, {state})"
        yield f"    {which}: {failure.reason}"
    if len(found.failures) > NAMED:
        yield f"    and {len(found.failures) - NAMED:,} more: --json names them all"


@contextmanager
def _progress() -> Iterator[Advance]:
    """A count on standard error, for a person only: nobody knows beforehand how many there are."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.completed:,} replayed"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("replaying", total=None)
        yield lambda: progress.advance(task)
