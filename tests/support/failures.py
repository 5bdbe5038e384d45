"""What a person needs when a test fails: the stack's logs of that time and the command that repeats it. A
plugin of pytest; with `--failures FOLDER` each failure is also kept in a file.
"""

import json
import os
import re
import shlex
from collections.abc import Generator, Iterator
from glob import glob
from pathlib import Path
from typing import Final

import pytest

from compose.rotation import size_of
from runtime.settings import PROJECT_ROOT

LINES: Final = 40
READ_BYTES: Final = 10 * 1024 * 1024
_BEGINS: Final = pytest.StashKey[dict[Path, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--failures", type=Path, help="a folder that takes a file for each failure")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    item.stash[_BEGINS] = {path: size_of(path) for path in _logs()}
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        begins = item.stash.get(_BEGINS, {})
        for path in _logs():
            if text := _written_since(path, begins.get(path, 0)):
                report.sections.append((f"{path.name} of that time", text))
        report.sections.append(("repeat it", "\n".join(_commands(item))))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In the process that writes to the terminal: reports of all workers come by here."""
    if report.failed and _folder is not None:
        _folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", report.nodeid)[-120:]
        number = len(list(_folder.glob("*.json")))
        file = _folder / f"{number:03}-{name}"
        parts = [report.longreprtext, *(f"--- {title} ---\n{text}" for title, text in report.sections)]
        file.with_name(file.name + ".txt").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        file.with_name(file.name + ".json").write_text(json.dumps({"test": report.nodeid}), encoding="utf-8")


_folder: Path | None = None


def pytest_configure(config: pytest.Config) -> None:
    global _folder
    is_worker = hasattr(config, "workerinput")
    _folder = None if is_worker else config.getoption("--failures")


def _logs() -> list[Path]:
    """Of every stack of this process, whatever home a test gave it. Those of others come and go meanwhile."""
    homes = [f"{PROJECT_ROOT}/.local/tests-{own}{os.getpid()}" for own in ("", "*-")]
    return sorted(Path(name) for home in homes for name in glob(f"{home}/logs/*.log"))


def _written_since(path: Path, position: int) -> str:
    try:
        with path.open("rb") as log:
            log.seek(position)
            text = log.read(READ_BYTES).decode(errors="replace")
    except FileNotFoundError:  # its home was removed
        return ""
    return "\n".join(text.splitlines()[-LINES:])


def _commands(item: pytest.Item) -> Iterator[str]:
    alone = f"./croupier test {shlex.quote(item.nodeid)}"
    seed = str(item.config.getoption("random_order_seed"))
    if seed.isdecimal():
        yield f"alone: {alone}"
        yield f"in this order: ./croupier test --seed {seed}"
    else:  # the plugin's own word for an order that nobody asked for
        yield alone
