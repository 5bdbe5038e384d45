"""`croupier bench growth`: cost as the work grows, with a progress bar on standard error and tables at the
end.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli import bootstrap
from cli.bench.run import FAILED, MISSED, on_standard_output, progress_bar, with_tools
from compose.problems import StackProblem
from runtime.settings import Settings

ROUNDS: Final = 1_000_000
MEMORY_ROUNDS: Final = 50_000
QUICK_ROUNDS: Final = 20_000
QUICK_MEMORY_ROUNDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of the command. The numbers of rounds that are not given depend on `quick`."""

    rounds: int | None
    memory_rounds: int | None
    quick: bool
    json_file: Path | None
    plots: Path | None


def run(settings: Settings, choices: Choices) -> int:
    """Measure and show. Returns 0 when earlier rounds cost no more than is allowed, 1 when they do, 2 when
    the run could not be made. A quick run is a look and no proof: it returns 0 in both cases.
    """
    return with_tools(lambda: _measure(settings, choices))


def _measure(settings: Settings, choices: Choices) -> int:
    from bench import growth
    from bench.loader import LoadFailed
    from bench.ratios import all_met

    wanted = growth.Wanted(
        earlier_rounds=choices.rounds or (QUICK_ROUNDS if choices.quick else ROUNDS),
        memory_rounds=choices.memory_rounds or (QUICK_MEMORY_ROUNDS if choices.quick else MEMORY_ROUNDS),
        quick=choices.quick,
    )
    try:
        with progress_bar(growth.steps(wanted)) as tell:
            found = asyncio.run(growth.run(settings, wanted, tell))
    except (StackProblem, LoadFailed, growth.GrowthFailed) as problem:
        bootstrap.say(str(problem))
        return FAILED
    _show(found, choices)
    return 0 if choices.quick or all_met(found.ratios) else MISSED


def _show(found: object, choices: Choices) -> None:
    from bench import growth_plots, growth_report
    from bench.growth import Growth

    assert isinstance(found, Growth)
    console = on_standard_output()
    for table in growth_report.tables(found):
        console.print(table)
    for summary in (*found.by_side, *found.by_players):
        for problem in summary.problems:
            console.print(f"{summary.variant} at {summary.connections}: {problem}", markup=False)
    console.print(f"{found.seconds:.0f} s in all")
    if choices.json_file is not None:
        text = json.dumps(growth_report.as_json(found), indent=1) + "\n"
        choices.json_file.write_text(text, encoding="utf-8")
        console.print(f"written: {choices.json_file}")
    if choices.plots is not None:
        for path in growth_plots.draw(found, choices.plots):
            console.print(f"written: {path}")
