"""Files of a stack that runs: its services make and remove them while a test looks."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def contents(folder: Path, *, below_bytes: int | None = None) -> Iterator[tuple[Path, bytes]]:
    """Every regular file below a folder with what it holds, of less than `below_bytes`; whatever goes away
    meanwhile, a folder too, is left out."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with suppress(FileNotFoundError):
                if path.is_file() and (below_bytes is None or path.stat().st_size < below_bytes):
                    yield path, path.read_bytes()
