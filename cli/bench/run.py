"""`croupier bench`: the side-by-side benchmark, with a progress bar on standard error and tables at the
end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli import bootstrap
from compose.problems import StackProblem
from runtime.settings import PROJECT_ROOT, Settings

MISSED = 1
FAILED = 2
INTERRUPTED = 130
WIDTH_IN_FILES = 130  # characters; nothing is cut there


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of the command. `variants` are names, all when empty."""

    variants: tuple[str, ...]
    blocks: int
    quick: bool
    json_file: Path | None
    plots: Path | None


def run(settings: Settings, choices: Choices) -> int:
    """Measure and show. Returns 0 when everything required is met, 1 when something is not, 2 when the run
    could not be made. A quick run is a look and no proof: it returns 0 in both cases.
    """
    return with_tools(lambda: _measure(settings, choices))


def with_tools(measure: Callable[[], int]) -> int:
    """Install what benchmarks need, then measure. Returns what that returns, or 2 or 130 when it did not come
    to an end.
    """
    try:
        bootstrap.add_bench_tools(PROJECT_ROOT)
    except bootstrap.BootstrapError as problem:
        bootstrap.say(str(problem))
        return FAILED
    try:
        return measure()
    except KeyboardInterrupt:
        return INTERRUPTED


def on_standard_output() -> Console:
    """Where the tables go."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_IN_FILES)


def _measure(settings: Settings, choices: Choices) -> int:
    from bench import run as benchmark
    from bench.loader import LoadFailed
    from bench.ratios import all_met
    from bench.variants import UnknownVariant

    wanted = benchmark.Wanted(choices.variants, choices.blocks, choices.quick)
    try:
        with progress_bar(benchmark.steps(wanted)) as tell:
            report = asyncio.run(benchmark.run(settings, wanted, tell))
    except (UnknownVariant, StackProblem, LoadFailed) as problem:
        bootstrap.say(str(problem))
        return FAILED
    _show(report, choices)
    return 0 if choices.quick or all_met(report.ratios) else MISSED


def _show(report: object, choices: Choices) -> None:
    from bench import plots
    from bench import report as reports

    assert isinstance(report, reports.Report)
    console = on_standard_output()
    for table in reports.tables(report):
        console.print(table)
    for summary in report.summaries:
        for problem in summary.problems:
            console.print(f"{summary.variant} at {summary.connections}: {problem}", markup=False)
    console.print(f"{report.seconds:.0f} s in all")
    if choices.json_file is not None:
        choices.json_file.write_text(json.dumps(reports.as_json(report), indent=1) + "\n", encoding="utf-8")
        console.print(f"written: {choices.json_file}")
    if choices.plots is not None:
        for path in plots.draw(report, choices.plots):
            console.print(f"written: {path}")


@contextmanager
def progress_bar(steps: int) -> Iterator[Callable[[str], None]]:
    """A bar on a terminal, one line for each step elsewhere. The bar moves when the next step begins."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda text: console.print(text, markup=False)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=steps)
        started = False

        def tell(text: str) -> None:
            nonlocal started
            progress.update(task, description=text, advance=1 if started else 0)
            started = True

        yield tell
