"""The three releases of the drill as trees of files: an earlier commit, this one, and a made-up next one."""

import io
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.settings import PROJECT_ROOT
from tests.upgrade import next_release

# The last commit from before functions were replaced in place. Move it on to each commit that is released.
BASE: Final = "7b1395a"
NOT_PART: Final = (".git", ".venv", ".local", "__pycache__", ".mypy_cache", ".ruff_cache", ".hypothesis")


class NotHere(Exception):
    """The commit cannot be had; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A release's files. `in_halves` says whether it has `croupier migrate`."""

    name: str
    root: Path
    in_halves: bool = True


THIS: Final = Tree("this", PROJECT_ROOT)


def base(folder: Path) -> Tree:
    """Raises NotHere."""
    git = shutil.which("git")
    archive = git and subprocess.run(
        (git, "archive", BASE), cwd=PROJECT_ROOT, capture_output=True, check=False
    )
    if not archive or archive.returncode != 0:
        raise NotHere(
            f"the upgrade is from {BASE}, which git does not have here: git fetch --unshallow brings it"
        )
    root = folder / "base"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        # Python has it as an argument from 3.11.4 on, and Debian 12 has 3.11.2.
        files.extraction_filter = getattr(tarfile, "data_filter", None)
        files.extractall(root)  # noqa: S202 - what git has of our own
    return Tree("base", root, in_halves=False)


def following(folder: Path) -> Tree:
    """This tree with what tests/upgrade/next_release.py makes of it."""
    root = folder / "next"
    shutil.copytree(PROJECT_ROOT, root, ignore=shutil.ignore_patterns(*NOT_PART, "tests", "docs"))
    next_release.make(root)
    return Tree("next", root)
