"""What failed: one file for each failure, with its logs and the command that repeats it. The plugin
tests/support/failures.py writes them as they come.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from runtime.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / ".local" / "test-failures"
KEPT_RUNS = 10


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures of one command, below `folder`; it is there only when something failed."""

    folder: Path

    def lines(self) -> list[str]:
        """One line for each test that failed, with how often and where to read more."""
        by_test: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(self.folder.glob("*.json")):
            by_test[json.loads(path.read_text(encoding="utf-8"))["test"]].append(path.with_suffix(".txt"))
        return [
            f"{test}: {len(paths)} x, see {', '.join(str(path.relative_to(PROJECT_ROOT)) for path in paths)}"
            for test, paths in sorted(by_test.items())
        ]


def new_folder() -> Failures:
    """A place for the failures of this command. Those of the last commands are kept, older ones removed."""
    for old in sorted(FOLDER.glob("*"))[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    return Failures(FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
