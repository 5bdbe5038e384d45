"""`croupier test`: what CI runs. Style, types and import contracts are checked beside the tests."""

from __future__ import annotations

import importlib.util
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from cli import bootstrap
from cli.testing import children, coverage, failures
from cli.testing.failures import Failures
from runtime.settings import PROJECT_ROOT

FAILED = 1
UNAVAILABLE = 2
INTERRUPTED = 130
NO_TESTS = 5  # pytest's own
SEEDS = 1_000_000
LONG_RUN_LIMIT_S = 3_600  # for a single test

CHECKS = {
    "ruff check": ("ruff", "check", "."),
    "ruff format": ("ruff", "format", "--check", "."),
    "import contracts": ("lint-imports",),
    "mypy --strict": ("mypy", "."),
}
# Tests wait much of the time: for a service, for a process to start. So there are more workers than cores.
SPARE_WORKERS = 3
MOST_WORKERS = 6
MEMORY_OF_A_WORKER = 1_500_000_000  # bytes, with its stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The options of the command. `pytest_arguments` are paths of tests or options of pytest."""

    full: bool = False
    fast: bool = False
    repeat: int | None = None
    seed: int | None = None
    busy: bool = False
    coverage: bool = False
    pytest_arguments: tuple[str, ...] = ()

    @property
    def chosen_tests(self) -> bool:
        """Whoever names tests wants them alone, at once, and with their output as it comes."""
        return bool(self.pytest_arguments)

    def seeds(self) -> Iterator[int | None]:
        """The order of each run; None is the order of the files."""
        if self.repeat is None:
            yield self.seed
            return
        first = secrets.randbelow(SEEDS) if self.seed is None else self.seed
        yield from range(first, first + self.repeat)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one tool or one run of pytest ended."""

    title: str
    passed: bool
    seconds: float
    output: str = ""


def run(choices: Choices) -> int:
    """Run all that was chosen, also after something fails. Returns 0 only when everything passed, 1 when not,
    2 when the tools cannot be had, 130 when interrupted.
    """
    try:
        bootstrap.add_test_tools(PROJECT_ROOT)
    except bootstrap.BootstrapError as problem:
        bootstrap.say(str(problem))
        return UNAVAILABLE
    console = Console(highlight=False)
    kept = failures.new_folder()
    try:
        with children.ended_with_this_run(), children.busy_core() if choices.busy else nullcontext():
            outcomes = _run_all(choices, kept, console)
    except KeyboardInterrupt:
        console.print("interrupted: everything that the tests had started was ended")
        return INTERRUPTED
    if choices.coverage:
        coverage.show(console)
    _show(outcomes, kept, console)
    return 0 if all(outcome.passed for outcome in outcomes) else FAILED


def _run_all(choices: Choices, kept: Failures, console: Console) -> list[Outcome]:
    if choices.chosen_tests:
        return _run_tests(choices, kept, console)
    with _checking_beside() as checks:
        if not _compiled():
            console.print("fresh checkout: compiling modules and tests once, for all processes")
            _compile()
        tests = _run_tests(choices, kept, console)
    for outcome in (done := checks.result()):
        if not outcome.passed:
            console.rule(outcome.title, align="left")
            console.print(outcome.output, markup=False)
    return [*done, *tests]


@contextmanager
def _checking_beside() -> Iterator[Future[list[Outcome]]]:
    """The tools that read the code run one after the other while the tests run."""
    with ThreadPoolExecutor(1) as executor:
        checks = executor.submit(lambda: [_check(title) for title in CHECKS])
        try:
            yield checks
        except BaseException:
            children.end_descendants()  # or the executor would wait for the tool
            raise


def _compiled() -> bool:
    """Whether pytest has kept bytecode of this checkout's tests."""
    own = Path(importlib.util.cache_from_source(str(PROJECT_ROOT / "tests" / "conftest.py")))
    return any(own.parent.glob("conftest.*-pytest-*.pyc"))


def _compile() -> None:
    """In a fresh checkout each process of pytest would compile every module, and rewrite every assertion, for
    itself: one does so before the others start, while mypy has the other core. What does not compile is told
    by the run."""
    with tempfile.TemporaryFile() as output:
        _waited_for(children.start([_program("pytest"), "--collect-only", "--quiet"], output=output))


def _check(title: str) -> Outcome:
    name, *arguments = CHECKS[title]
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        code = children.start([_program(name), *arguments], output=output).wait()
        output.seek(0)
        return Outcome(title, code == 0, time.monotonic() - began, output.read().decode(errors="replace"))


def _run_tests(choices: Choices, kept: Failures, console: Console) -> list[Outcome]:
    outcomes = []
    for number, seed in enumerate(choices.seeds(), start=1):
        title = "pytest" if seed is None else f"pytest, order {seed}"
        if choices.repeat is not None:
            title += f" ({number} of {choices.repeat})"
        console.rule(title, align="left")
        outcomes.append(_run_pytest(title, pytest_command(choices, seed, kept)))
    return outcomes


def _run_pytest(title: str, arguments: list[str]) -> Outcome:
    began = time.monotonic()
    code = _waited_for(children.start([_program("pytest"), *arguments]))
    return Outcome(title, code == 0, time.monotonic() - began)


def _waited_for(running: subprocess.Popen[bytes]) -> int:
    """How it ended. Who interrupts us interrupts it."""
    try:
        return running.wait()
    except KeyboardInterrupt:
        children.interrupt(running)
        raise


def pytest_command(choices: Choices, seed: int | None, kept: Failures) -> list[str]:
    """The arguments of one run of pytest."""
    command = [f"--failures={kept.folder}"]
    if seed is not None:
        command.append(f"--random-order-seed={seed}")
    if choices.full:
        command += ["--full", f"--timeout={LONG_RUN_LIMIT_S}"]
    if choices.fast:
        command.append("--fast")
    if choices.coverage:
        command += coverage.PYTEST_ARGUMENTS
    if choices.chosen_tests:
        return [*command, *choices.pytest_arguments]
    return [*command, "-n", str(workers()), "--dist", "loadfile", "--no-loadscope-reorder"]


def workers() -> int:
    """How many processes of pytest share this machine, as it is now."""
    room = psutil.virtual_memory().available // MEMORY_OF_A_WORKER
    return max(2, min(children.cores() + SPARE_WORKERS, MOST_WORKERS, room))


def _program(name: str) -> str:
    return str(Path(sys.prefix) / "bin" / name)


def _show(outcomes: list[Outcome], kept: Failures, console: Console) -> None:
    table = Table(title="summary", title_justify="left", show_header=False)
    for outcome in outcomes:
        mark = "[green]passed[/green]" if outcome.passed else "[red]FAILED[/red]"
        table.add_row(outcome.title, mark, f"{outcome.seconds:.1f} s")
    console.print(table)
    for line in kept.lines():
        console.print(line, markup=False, soft_wrap=True)
