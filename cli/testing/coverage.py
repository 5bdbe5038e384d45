"""`croupier test --coverage`: which of our code ran, folder by folder, in the tests and in the programs that
they start.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from runtime.settings import PROJECT_ROOT

REPORT = PROJECT_ROOT / ".local" / "coverage.json"
PYTEST_ARGUMENTS = ["--cov", "--cov-report=", f"--cov-report=json:{REPORT}"]
# Here money moves, so each line that did not run is named.
MONEY_PATH = ("wallet", "workflows", "activities", "storage", "outbound")


def show(console: Console) -> None:
    """Print the report of the run that has just ended; nothing when it did not get that far."""
    if not REPORT.exists():
        return
    files: dict[str, Any] = json.loads(REPORT.read_text(encoding="utf-8"))["files"]
    console.print(_by_folder(files))
    for name, file in sorted(files.items()):
        if name.startswith(MONEY_PATH) and (missing := file["missing_lines"]):
            console.print(f"{name}: {ranges(missing)}", markup=False)
    console.print(f"line by line: {REPORT.relative_to(PROJECT_ROOT)}")


def _by_folder(files: dict[str, Any]) -> Table:
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, file in files.items():
        total = totals[Path(name).parts[0]]
        total[0] += file["summary"]["num_statements"]
        total[1] += file["summary"]["covered_lines"]
    table = Table("folder", "statements", "did not run", "ran", title="coverage", title_justify="left")
    for folder, (statements, covered) in sorted(totals.items()):
        share = f"{100 * covered // statements} %" if statements else "-"
        table.add_row(folder, str(statements), str(statements - covered), share)
    return table


def ranges(lines: list[int]) -> str:
    """Ascending numbers of lines as people write them: `3-5, 9`."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][-1] + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
