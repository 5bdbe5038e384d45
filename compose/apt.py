"""Debian packages without rights: resolved and downloaded by apt-get with lists of its own, unpacked by dpkg.

Nothing is installed and nothing on the system changes, so it is the same for root and for an ordinary user,
and the system's configuration of apt (mirrors, proxies, keys) is the one that counts.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compose.problems import Unavailable
from runtime.settings import without_ours

LIMIT_SECONDS = 180
# Mirrors are away for a moment, and change while they are read.
TRIES = 3
PAUSE_S = 10.0
INSTALLED = Path("/var/lib/dpkg/status")


def unpack(root_package: str, target: Path, *, always: re.Pattern[str]) -> None:
    """Unpack a package and what it needs into `target`: every dependency whose name matches `always`, and of
    the others those that this system lacks. Raises Unavailable with what apt-get said.
    """
    with _lists(target) as work:
        nothing_installed = work / "status"
        nothing_installed.touch()
        family = {name for name in _needed(work, nothing_installed, root_package) if always.fullmatch(name)}
        missing = set(_needed(work, INSTALLED, root_package))
        _unpack(work, family | missing | {root_package}, target)


def unpack_alone(package: str, target: Path) -> None:
    """Unpack one package into `target`, without what it needs. Raises Unavailable with what apt-get said."""
    with _lists(target) as work:
        _unpack(work, {package}, target)


@contextmanager
def _lists(target: Path) -> Iterator[Path]:
    """A folder beside `target` with fresh lists of packages, for as long as the block runs."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise Unavailable("this system has no apt-get")
    work = target.with_name(target.name + ".apt")
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("state/lists/partial", "cache/archives/partial", "debs"):
        (work / folder).mkdir(parents=True)
    _fetch(work, INSTALLED, "update")
    yield work
    shutil.rmtree(work)


def _unpack(work: Path, packages: set[str], target: Path) -> None:
    _fetch(work, INSTALLED, "download", *sorted(packages), folder=work / "debs")
    target.mkdir(parents=True)
    for package in sorted((work / "debs").glob("*.deb")):
        subprocess.run(
            ["dpkg", "-x", str(package), str(target)],
            check=True,
            capture_output=True,
            env=without_ours(os.environ),
        )


def _needed(work: Path, status: Path, package: str) -> list[str]:
    """The names of the packages that an installation would fetch, given what counts as installed."""
    listing = _apt(work, status, "install", "--print-uris", "--no-install-recommends", package)
    # Each line is: 'address' name_version_architecture.deb size hash
    return [line.split()[1].split("_")[0] for line in listing.splitlines() if line.startswith("'")]


def _fetch(work: Path, status: Path, *arguments: str, folder: Path | None = None) -> None:
    """A call of apt-get that needs its mirror, and is repeated when that fails."""
    for _ in range(TRIES - 1):
        try:
            _apt(work, status, *arguments, folder=folder)
        except Unavailable:
            time.sleep(PAUSE_S)
        else:
            return
    _apt(work, status, *arguments, folder=folder)


def _apt(work: Path, status: Path, *arguments: str, folder: Path | None = None) -> str:
    options = {
        "Dir::State": work / "state",
        "Dir::State::status": status,
        "Dir::Cache": work / "cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "",  # root's apt would hand the download to _apt, who cannot write here
        "Debug::NoLocking": "1",
    }
    command = ["apt-get", "-qq"]
    for key, value in options.items():
        command += ["-o", f"{key}={value}"]
    try:
        done = subprocess.run(
            [*command, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
            env=without_ours(os.environ),
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"apt-get {arguments[0]} took longer than {LIMIT_SECONDS} s") from None
    if done.returncode != 0:
        raise Unavailable(f"apt-get {arguments[0]} failed: {done.stderr.strip()[-400:]}")
    return done.stdout
