"""`croupier test`: what CI runs, in the order that fails fastest, with a summary at the end."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cli import bootstrap
from runtime.settings import PROJECT_ROOT

INTERRUPTED = 130
# Most tests wait for a service most of the time, so two stacks of them share a machine well. In the order of
# their folders: the long files are early then, and the short ones fill both sides to the end.
SIDE_BY_SIDE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
# These look at times, at costs, or at what happens by chance within a time, and run alone.
ALONE = (
    "tests/e2e/test_costs.py",
    "tests/e2e/test_interventions.py",
    "tests/e2e/test_overload.py",
    "tests/e2e/test_slow_clients.py",
    "tests/faults",
    "tests/replay",
    "tests/workflow",
)


@dataclass(frozen=True)
class Step:
    """One tool of our own environment, with its arguments."""

    title: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """How a step ended."""

    title: str
    passed: bool
    seconds: float


def run(pytest_arguments: list[str], *, full: bool) -> int:
    """Run all steps, also after one fails. Returns 0 only when every one passed, 2 when the tools cannot be
    had.
    """
    try:
        bootstrap.add_test_tools(PROJECT_ROOT)
    except bootstrap.BootstrapError as problem:
        bootstrap.say(str(problem))
        return 2
    console = Console(highlight=False)
    try:
        results = [_run(step, console) for step in steps(pytest_arguments, full=full)]
    except KeyboardInterrupt:
        return INTERRUPTED
    _summarise(results, console)
    return 0 if all(result.passed for result in results) else 1


def steps(pytest_arguments: list[str], *, full: bool) -> tuple[Step, ...]:
    """Cheap and strict first. Tests that are named, and the long runs, are one run of pytest."""
    if full or pytest_arguments:
        chosen = ["--full", *pytest_arguments] if full else pytest_arguments
        tests: tuple[Step, ...] = (Step("pytest", ("pytest", *chosen)),)
    else:
        others = tuple(f"--ignore={path}" for path in ALONE)
        tests = (
            Step("pytest, two stacks", ("pytest", *SIDE_BY_SIDE, *others)),
            Step("pytest, one stack", ("pytest", *ALONE)),
        )
    return (
        Step("ruff check", ("ruff", "check", ".")),
        Step("ruff format", ("ruff", "format", "--check", ".")),
        Step("mypy --strict", ("mypy", ".")),
        Step("import contracts", ("lint-imports",)),
        *tests,
    )


def _run(step: Step, console: Console) -> Result:
    console.rule(step.title, align="left")
    began = time.monotonic()
    command = [str(Path(sys.prefix) / "bin" / step.arguments[0]), *step.arguments[1:]]
    done = subprocess.run(command, cwd=PROJECT_ROOT, check=False)
    return Result(step.title, done.returncode == 0, time.monotonic() - began)


def _summarise(results: list[Result], console: Console) -> None:
    table = Table(title="summary", title_justify="left", show_header=False)
    for result in results:
        mark = "[green]passed[/green]" if result.passed else "[red]FAILED[/red]"
        table.add_row(result.title, mark, f"{result.seconds:.1f} s")
    console.print(table)
