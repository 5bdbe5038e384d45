"""Another commit of this project, ready to run: a worktree of git with an environment of its own.

It stays for the next run against the same commit, for an environment takes a minute and the same commit is
asked for again and again. Only one is kept: asking for another commit removes it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from compose.process import children_of, end_all
from runtime.settings import without_ours

PROGRAM: Final = "croupier"
FULL_LENGTH: Final = 40  # of an id, at least: with SHA-256 it has 64
SHOWN: Final = 10
ANOTHER_PLACE: Final = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
)
PATIENCE_S: Final = 5.0


class NoCommit(Exception):
    """The commit cannot be had; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A commit's files below `root`, by the commit's full id. `changed`: they are not exactly that
    commit's.
    """

    root: Path
    commit: str
    changed: bool = False

    @property
    def title(self) -> str:
        return self.commit[:SHOWN] + (" with changes" if self.changed else "")


class Repository:
    """The git checkout that this project is in. Raises NoCommit when there is none."""

    def __init__(self, root: Path) -> None:
        self._root = root
        if shutil.which("git") is None:
            raise NoCommit("git is not installed, and another commit comes from it: apt-get install git")
        top = self._git("rev-parse", "--show-toplevel")
        # A copy without history that lies inside of another repository would find that one's commits.
        if top.returncode != 0 or Path(top.stdout.strip()).resolve() != root.resolve():
            raise NoCommit(f"{root} is no git checkout, so there is no other commit{_reason(top)}")

    def resolve(self, name: str) -> str:
        """The full id of a commit by any name that git knows. Raises NoCommit."""
        if name.startswith("-"):
            raise NoCommit(f"{name!r} is no name of a commit")
        found = self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        commit = found.stdout.strip()
        if found.returncode == 0 and len(commit) >= FULL_LENGTH:
            return commit
        shallow = self._git("rev-parse", "--is-shallow-repository").stdout.strip() == "true"
        advice = "; this clone is shallow: git fetch --unshallow brings the rest" if shallow else ""
        raise NoCommit(f"git knows no commit {name!r}{advice}")

    def ours(self) -> Checkout:
        """This tree as it is, with what is not committed."""
        changed = bool(self._git("status", "--porcelain", "--untracked-files=no").stdout.strip())
        return Checkout(self._root, self.resolve("HEAD"), changed)

    def check_out(self, commit: str, folder: Path) -> Checkout:
        """The commit's files in `folder`/ID, the ones of an earlier run if they are there and unchanged.
        Other commits' are removed. Raises NoCommit.
        """
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / commit
        for other in self._kept(folder):
            if other != target or not self._is_whole(target, commit):
                self._remove(other)
        self._git("worktree", "prune")
        if not target.exists():
            try:
                self._add(target, commit)
            except BaseException:
                self._remove(target)
                raise
        return Checkout(target, commit)

    def _add(self, target: Path, commit: str) -> None:
        # The repository's hooks are for its own checkouts.
        added = self._git(
            *("-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach"),
            *(str(target), commit),
        )
        if added.returncode != 0:
            raise NoCommit(f"git made no worktree of {commit[:SHOWN]}{_reason(added)}")
        if not (target / PROGRAM).is_file():
            raise NoCommit(f"commit {commit[:SHOWN]} has no ./{PROGRAM}: it cannot be started")

    def _kept(self, folder: Path) -> Iterator[Path]:
        """What earlier runs left; a name as long as an id is no other folder's."""
        for path in sorted(folder.iterdir()):
            if len(path.name) >= FULL_LENGTH and set(path.name) <= set("0123456789abcdef"):
                yield path

    def _is_whole(self, target: Path, commit: str) -> bool:
        """Whether it is a worktree (and no folder of the outer one), at this commit and unchanged."""
        top = self._git("rev-parse", "--show-toplevel", within=target)
        if top.returncode != 0 or Path(top.stdout.strip()).resolve() != target.resolve():
            return False
        head = self._git("rev-parse", "HEAD", within=target).stdout.strip()
        status = self._git("status", "--porcelain", "--untracked-files=no", within=target)
        return head == commit and status.returncode == 0 and not status.stdout.strip()

    def _remove(self, target: Path) -> None:
        """Also one that a killed run made by half, which git has locked. What is locked is never pruned."""
        shutil.rmtree(target, ignore_errors=True)
        self._git("worktree", "unlock", str(target))
        self._git("worktree", "prune")

    def _git(self, *arguments: str, within: Path | None = None) -> subprocess.CompletedProcess[str]:
        # Git sets these for its hooks, and then they would name another repository than the folder does.
        environment = {key: value for key, value in os.environ.items() if key not in ANOTHER_PLACE}
        return subprocess.run(
            ("git", *arguments),
            cwd=within or self._root,
            env={**environment, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def prepare(checkout: Checkout) -> None:
    """Let the commit's own ./croupier make its environment, unless it is there; what it says is seen. Raises
    NoCommit.

    It finds our Python before others. One Python is faster than another by more than commits differ.
    """
    command = [str(checkout.root / PROGRAM), "--help"]
    environment = without_ours(os.environ)
    environment["PATH"] = os.pathsep.join((f"{sys.base_prefix}/bin", environment.get("PATH", os.defpath)))
    try:
        with _running(command, checkout.root, environment) as process:
            code = process.wait()
    except OSError as problem:
        raise NoCommit(f"commit {checkout.title} cannot be started: {problem}") from None
    if code != 0:
        raise NoCommit(
            f"commit {checkout.title} made no environment (exit code {code}); what it said is above"
        )


@contextmanager
def _running(
    command: list[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone with all of its own when the block is left, however that is."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        family = children_of(process.pid)
        if process.poll() is None:
            process.terminate()
            for child in family:
                with suppress(psutil.Error):
                    child.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        end_all(family, patience_seconds=PATIENCE_S)


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """What git said, as the end of a sentence."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return f" (git: {lines[0]})" if done.returncode != 0 and lines else ""
