"""Logs are rotated while their programs write: copied aside, then emptied in place.

A program writes to a file that it was given at its start, so it would go on writing to a log that was
renamed. Every descriptor appends (compose/process.py), so what is written after the emptying begins at the
file's start. What is written between the last read and the emptying is lost: a few microseconds, once in so
many megabytes. A pipe through the supervisor would lose nothing, and would hold up every program while the
supervisor is busy or stopped.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.settings import Settings

EVERY_S: Final = 1.0
CHUNK_BYTES: Final = 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """A log is set aside when it has more than `size_bytes`; `kept` older ones are kept of each."""

    size_bytes: int
    kept: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(settings.log_file_mib * 1024 * 1024, settings.log_files_kept)


def older(path: Path, age: int) -> Path:
    """`NAME.log.1` is the youngest of a log's older ones."""
    return path.with_name(f"{path.name}.{age}")


async def keep_rotating(folder: Path, limits: Limits) -> None:
    """Without end. Nothing that a disk does ends it."""
    while True:
        await asyncio.to_thread(rotate_all, folder, limits)
        await asyncio.sleep(EVERY_S)


def rotate_all(folder: Path, limits: Limits) -> None:
    for path in folder.glob("*.log"):
        rotate(path, limits)


def rotate(path: Path, limits: Limits) -> None:
    """Sets the log aside if it is too large, with its last `size_bytes`. Where that fails, as on a full disk,
    the log is emptied all the same: one that fills the disk would end the database."""
    if size_of(path) <= limits.size_bytes:
        return
    try:
        _age(path, limits.kept)
        with path.open("r+b") as full:
            if limits.kept:
                _copy_end(full.fileno(), older(path, 1), limits.size_bytes)
            full.truncate(0)
    except OSError as problem:
        log.warning("%s is emptied, and could not be set aside: %s", path.name, problem.strerror)
        with suppress(OSError):
            os.truncate(path, 0)


def _age(path: Path, kept: int) -> None:
    """Makes room for the next one; the oldest goes."""
    for stale in path.parent.glob(f"{path.name}.*"):
        age = stale.suffix.removeprefix(".")
        if age.isdigit() and int(age) >= kept:
            stale.unlink(missing_ok=True)
    for age_ in range(kept - 1, 0, -1):
        with suppress(FileNotFoundError):
            older(path, age_).replace(older(path, age_ + 1))


def _copy_end(source: int, into: Path, size_bytes: int) -> None:
    """With what is written meanwhile, of which there may be as much again. Only its owner may read it, as the
    log itself."""
    position = max(0, os.fstat(source).st_size - size_bytes)
    end = position + 2 * size_bytes
    with open(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as copy:
        while chunk := os.pread(source, min(CHUNK_BYTES, end - position), position):
            copy.write(chunk)
            position += len(chunk)


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
