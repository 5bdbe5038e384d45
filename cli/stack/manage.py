"""`croupier down`, `status` and `reset`."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from cli.options import told
from compose import control
from compose.layout import Layout
from compose.problems import StackProblem
from runtime.settings import Settings


def down(settings: Settings, *, as_json: bool = False) -> int:
    """Stop what runs."""
    try:
        stopped = control.down(Layout(settings.home))
    except StackProblem as problem:
        return _fail(problem)
    line = f"stopped: {', '.join(stopped)}" if stopped else "nothing was running"
    told({"stopped": stopped}, line, as_json=as_json)
    return 0


def status(settings: Settings, *, as_json: bool) -> int:
    """Show what runs and where. Secrets stay in stack.json."""
    layout = Layout(settings.home)
    info = control.stack_info(layout)
    found = control.components(layout)
    pids = {name: process.pid if process else None for name, process in found.items()}
    deaths = control.deaths(layout)
    if as_json:
        known = {key: value for key, value in (info or {}).items() if key not in SECRET_KEYS}
        shown = {"up": info is not None, "components": pids, "deaths": deaths, **known}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return 0 if info else 1
    if not pids:
        _show_deaths(deaths, Console(highlight=False))
        typer.echo("not running; start it with: ./croupier up")
        return 1
    table = Table()
    for heading in ("component", "state", "pid"):
        table.add_column(heading)
    for name, pid in pids.items():
        table.add_row(name, "running" if pid else "gone", str(pid or "-"))
    console = Console(highlight=False)
    console.print(f"croupier in {layout.home}", soft_wrap=True)
    console.print(table)
    console.print(f"logs: {layout.log_of('COMPONENT')}", soft_wrap=True)
    _show_deaths(deaths, console)
    for label in ("base_url", "temporal_ui"):
        if info and info.get(label):
            console.print(f"{label}: {info[label]}")
    if info is None:
        console.print(
            "It is not up: starting, stopping, or left by a crash. ./croupier down ends what is left."
        )
    return 0 if info else 1


def _show_deaths(deaths: list[dict[str, Any]], console: Console) -> None:
    """What died, when and how; nothing where nothing did."""
    if not deaths:
        return
    console.print("What died in this run, or in the last one:")
    for death in deaths:
        wait_s = death["restart_in_s"]
        then = "everything stopped" if wait_s is None else f"it starts again after {wait_s:g} s"
        said = death["last_line"] or "it wrote nothing to its log"
        # A line each, which the terminal wraps: a table would cut the times.
        for line in (f"  {death['at']}  {death['name']} {death['how']}; {then}", f"    {said}"):
            console.print(line, markup=False, soft_wrap=True)


SECRET_KEYS = frozenset({"operator_key", "database_url", "reader_database_url", "amqp_url", "temporal_codec"})


def reset(settings: Settings, *, yes: bool) -> int:
    """Delete all data, after a question."""
    if not yes and not typer.confirm(f"Delete all data, keys and logs in {settings.home}?"):
        typer.echo("nothing was deleted")
        return 1
    try:
        deleted = control.reset(settings)
    except StackProblem as problem:
        return _fail(problem)
    typer.echo("deleted; the next ./croupier up starts over" if deleted else "there was nothing to delete")
    return 0


def _fail(problem: StackProblem) -> int:
    typer.echo(f"croupier: {problem}", err=True)
    return problem.exit_code
