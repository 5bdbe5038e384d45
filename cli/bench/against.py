"""`croupier bench --against COMMIT`: this tree beside another commit, with a progress bar on standard error
and tables and a verdict at the end.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from cli import bootstrap
from cli.bench.run import FAILED, MISSED, on_standard_output, progress_bar, with_tools
from compose import process
from compose.layout import Layout
from compose.problems import AlreadyRunning, StackProblem
from compose.stack import take_lock
from runtime.settings import PROJECT_ROOT, Settings


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of the command. How many blocks depends on `quick` and `starts` when it is not said."""

    commit: str
    blocks: int | None
    quick: bool
    json_file: Path | None
    ingresses: int = 1
    starts: int = 1

    def blocks_of_a_start(self) -> int:
        from bench import against

        if self.blocks is not None:
            return self.blocks
        return against.QUICK_BLOCKS if self.quick or self.starts > 1 else against.BLOCKS


def run(settings: Settings, choices: Choices) -> int:
    """Measure and show. Returns 0 when a round costs no more CPU than is allowed, 1 when it does, 2 when the
    run could not be made. A quick run is a look and no proof: it returns 0 in both cases.
    """
    return with_tools(lambda: _measure(settings, choices))


def _measure(settings: Settings, choices: Choices) -> int:
    from bench import against, against_report, commits, stacks
    from bench.loader import LoadFailed

    wanted = against.Wanted(choices.blocks_of_a_start(), choices.quick, choices.ingresses, choices.starts)
    layout = Layout(settings.home / "bench" / "against")
    try:
        repository = commits.Repository(PROJECT_ROOT)
        commit = repository.resolve(choices.commit)
        layout.create()
        with take_lock(layout):
            process.sweep(layout)
            stacks.remove_leftovers(against.homes(layout))
            theirs = repository.check_out(commit, layout.home)
            commits.prepare(theirs)
            with progress_bar(against.steps(wanted)) as tell:
                work = against.run(repository.ours(), theirs, layout, wanted, tell)
                found = asyncio.run(work)
        compared = against_report.comparisons(found.measured, found.starts)
        decided = against_report.verdict(compared)
    except AlreadyRunning:
        bootstrap.say(f"another run against a commit has {layout.home}: wait for its end")
        return FAILED
    except (commits.NoCommit, StackProblem, LoadFailed, against_report.NothingToCompare) as problem:
        bootstrap.say(str(problem))
        _say_what_stays(against.homes(layout))
        return FAILED
    except KeyboardInterrupt:
        bootstrap.say("stopped, and everything with it")
        _say_what_stays(against.homes(layout))
        raise
    _show(found, compared, decided, choices.json_file)
    return 0 if choices.quick or decided.met else MISSED


def _say_what_stays(homes: Path) -> None:
    if homes.is_dir() and any(homes.iterdir()):
        bootstrap.say(f"the stacks' logs and data stay until the next run: {homes}")


def _show(found: object, compared: object, decided: object, json_file: Path | None) -> None:
    from bench import against_report as reports
    from bench.against import Against

    assert isinstance(found, Against)
    assert isinstance(compared, list)
    assert isinstance(decided, reports.Verdict)
    console = on_standard_output()
    for table in reports.tables(found, compared):
        console.print(table)
    for each in found.measured:
        for problem in each.problems[:1]:
            console.print(f"{each.cell.variant} at {each.cell.connections}: {problem}", markup=False)
    console.print(decided.text, markup=False, soft_wrap=True)
    console.print(f"{found.seconds:.0f} s in all")
    if json_file is not None:
        text = json.dumps(reports.as_json(found, compared, decided), indent=1) + "\n"
        json_file.write_text(text, encoding="utf-8")
        console.print(f"written: {json_file}")
