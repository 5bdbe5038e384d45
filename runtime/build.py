"""Which program of which release this is: its name, its version, and its commit where that is known."""

import os
import sys
import tomllib
from pathlib import Path
from typing import Final

from runtime.settings import COMMIT_VARIABLE, PROJECT_ROOT

SHORT: Final = 12
# Programs whose module has another name than they have.
_CALLED: Final = {"serve": "ingress", "__main__": "command"}


def program() -> str:
    """As `python -m workers.NAME` started it: `relay`; a command of `croupier` is `command`."""
    name = Path(sys.argv[0]).stem
    return _CALLED.get(name, name)


def version(root: Path = PROJECT_ROOT) -> str:
    """As pyproject.toml has it; empty without one."""
    try:
        document = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    found: str = document.get("project", {}).get("version", "")
    return found


def commit(root: Path = PROJECT_ROOT) -> str:
    """The first digits of the commit: of an image, as it was built, else of the Git checkout; empty where
    neither is known. Git itself need not be installed."""
    return (os.environ.get(COMMIT_VARIABLE) or _of_checkout(root / ".git"))[:SHORT]


def _of_checkout(git: Path) -> str:
    try:
        if git.is_file():  # a worktree
            git = git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        return _of_reference(git, head.removeprefix("ref: ")) if head.startswith("ref: ") else head
    except (OSError, ValueError):
        return ""


def _of_reference(git: Path, name: str) -> str:
    common = git / "commondir"
    shared = git / common.read_text(encoding="utf-8").strip() if common.exists() else git
    if (loose := shared / name).exists():
        return loose.read_text(encoding="utf-8").strip()
    packed = (shared / "packed-refs").read_text(encoding="utf-8").splitlines()
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
