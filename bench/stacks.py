"""A stack of any commit, started and ended by its own ./croupier.

Nothing is imported from that commit. What it is asked for is what every commit promises: `up` starts it,
CROUPIER_HOME says where, `stack.json` there says how to reach it, and SIGTERM ends it. Whose CPU is whose
follows from the names of the servers' programs and from the ports that stack.json names.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psutil

from bench.commits import PROGRAM as CROUPIER
from bench.commits import Checkout
from bench.costs import PROGRAM
from compose import control, process
from compose.layout import Layout, read_json
from compose.problems import Died, StackProblem, Unavailable
from compose.process import Command, Process
from runtime.settings import Settings, without_ours

OTHERS: Final = "others"
SERVERS: Final = {
    "postgres": "postgres",
    "temporal": "temporal",
    "beam.smp": "rabbitmq",
    "epmd": "rabbitmq",
}
OWN: Final = ("relay", "statistics")  # with a row of their own; what else there is, is one of the others
START_LIMIT_S: Final = 600.0  # the first time, RabbitMQ may have to be downloaded
PAUSE_S: Final = 0.1
NEEDED: Final = ("base_url", "operator_id", "operator_key")


@dataclass(frozen=True, slots=True)
class Node:
    """A process with its children, and the ports it listens on."""

    pid: int
    name: str
    ports: frozenset[int]
    children: tuple[Node, ...] = ()


@dataclass(frozen=True)
class RunningStack:
    """A stack that is up. `info` is its stack.json, which holds secrets."""

    name: str
    checkout: Checkout
    up: Process
    info: Mapping[str, Any] = field(repr=False)

    def families(self) -> dict[str, list[int]]:
        """The first processes of each family, as they are now. Raises Died when the stack has ended."""
        if not self.up.running:
            raise _death(self.up)
        found = families((tree(self.up.pid),), family_by_port(self.info))
        if PROGRAM not in found:
            raise StackProblem(f"{self.name}: no process of it listens at {self.info['base_url']}")
        return found


@asynccontextmanager
async def running_stack(
    checkout: Checkout, layout: Layout, *, name: str, home: Path, arguments: Sequence[str] = ()
) -> AsyncIterator[RunningStack]:
    """Start a stack with this home, by `up` with these arguments, and wait until it is up; leaving the block
    ends it. Its output is a log of `layout`. Raises StackProblem.
    """
    up = await process.start(_command(checkout, layout, name, home, "up", *arguments), layout)
    try:
        info = await _when_up(up, home / "stack.json")
        if missing := [key for key in NEEDED if key not in info]:
            raise StackProblem(f"{name}: stack.json of {checkout.title} has no {', '.join(missing)}")
        yield RunningStack(name, checkout, up, info)
    finally:
        await up.stop()


async def remove_data(checkout: Checkout, layout: Layout, *, name: str, home: Path) -> None:
    """Let the stack's own command remove its data, which may lie outside its home; then the home. Raises
    StackProblem.
    """
    command = _command(checkout, layout, f"{name}-reset", home, "reset", "--yes")
    reset = await process.start(command, layout)
    try:
        how = await reset.wait()
    finally:
        await reset.stop()
    if reset.handle.returncode != 0:
        raise Died(command.name, how, process.tail(layout.log_of(command.name)))
    shutil.rmtree(home)


def remove_leftovers(homes: Path) -> None:
    """What runs left that failed or were killed. Their commit may be gone, so this one's way has to do."""
    for home in sorted(homes.glob("*")):
        control.down(Layout(home))
        control.reset(Settings(home=home))
        shutil.rmtree(home)


def _command(checkout: Checkout, layout: Layout, name: str, home: Path, *arguments: str) -> Command:
    # No file of settings: one side would find it and the other not. Log lines are few, as in production.
    empty = layout.home / "croupier.toml"
    empty.touch()
    chosen = {"CROUPIER_HOME": str(home), "CROUPIER_LOG_LEVEL": "warning", "CROUPIER_SETTINGS": str(empty)}
    return Command(
        name=name,
        argv=(str(checkout.root / CROUPIER), *arguments),
        environment={**without_ours(os.environ), **chosen},
        folder=checkout.root,
        stop_seconds=control.STOP_LIMIT_SECONDS,
    )


async def _when_up(up: Process, stack_file: Path) -> dict[str, Any]:
    """What the file holds once it is there. Raises Died or Unavailable."""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_LIMIT_S):
            while up.running:
                if (info := read_json(stack_file)) is not None:
                    return info
                await asyncio.sleep(PAUSE_S)
            raise _death(up)
    raise Unavailable(f"{up.command.name} was not up within {START_LIMIT_S:.0f} s")


def _death(up: Process) -> Died:
    assert up.handle.returncode is not None, "it has ended"
    name = up.command.name
    return Died(name, process.ending(up.handle.returncode), process.tail(up.layout.log_of(name)))


def family_by_port(info: Mapping[str, Any]) -> dict[int, str]:
    """The family of the process that listens on each port that stack.json names for one of our own
    programs."""
    named: Mapping[str, str] = info.get("metrics_urls", {})
    found = {port: name for name, url in named.items() if name in OWN and (port := urlsplit(url).port)}
    base = urlsplit(info["base_url"]).port
    return {**found, base: PROGRAM} if base else found


def families(tops: Sequence[Node], by_port: Mapping[int, str]) -> dict[str, list[int]]:
    """The first processes of each family among these and below them. A parent that only started some of
    them, as the command itself did, is of none, be it that it holds their port for them; what has no family
    and started none is one of the others.
    """
    found: dict[str, list[int]] = {}
    for node in tops:
        below = families(node.children, by_port)
        if node.name in SERVERS or not set(below) - {OTHERS}:
            below = {_family(node, by_port) or OTHERS: [node.pid]}
        for name, pids in below.items():
            found.setdefault(name, []).extend(pids)
    return found


def _family(node: Node, by_port: Mapping[int, str]) -> str | None:
    if node.name in SERVERS:
        return SERVERS[node.name]
    return next((by_port[port] for port in sorted(node.ports) if port in by_port), None)


def tree(pid: int) -> Node:
    """The processes as they are now. One that ends meanwhile is left out."""
    processes = [psutil.Process(pid), *process.children_of(pid)]
    parents: dict[int, list[psutil.Process]] = {}
    for each in processes[1:]:
        with suppress(psutil.Error):
            parents.setdefault(each.ppid(), []).append(each)
    return _node(processes[0], parents)


def _node(here: psutil.Process, parents: Mapping[int, Sequence[psutil.Process]]) -> Node:
    name, ports = "", frozenset[int]()
    with suppress(psutil.Error):
        name = here.name()
        # A database's many processes belong to another user, and their name says enough.
        if name not in SERVERS:
            ports = frozenset(
                each.laddr.port
                for each in here.net_connections(kind="tcp")
                if each.status == psutil.CONN_LISTEN
            )
    return Node(here.pid, name, ports, tuple(_node(child, parents) for child in parents.get(here.pid, ())))
