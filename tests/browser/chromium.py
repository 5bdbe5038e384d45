"""Chromium for tests of web pages: the system's, else Debian's packages unpacked below .local.

Playwright would download a build of its own, from a place that company networks do not reach. Unpacking
changes nothing on the machine and needs no rights.
"""

import fcntl
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from compose import apt
from compose.layout import SHARED_LIBRARY
from compose.problems import Unavailable
from compose.rabbitmq_programs import distribution
from runtime.settings import without_ours

NAMES: Final = (
    *("chromium-headless-shell", "chromium", "chromium-browser"),
    *("google-chrome", "google-chrome-stable"),
)
PACKAGE: Final = "chromium-headless-shell"
# Always taken together, and only so: parts of two versions would not fit.
FAMILY: Final = re.compile(r"chromium.*")
ADVICE: Final = "install a Chromium, as root: apt-get install chromium"
FONTS: Final = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{target}/usr/share/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{target}/fonts</cachedir>
  <match><edit name="family" mode="append"><string>DejaVu Sans</string></edit></match>
</fontconfig>
"""
START_LIMIT_S: Final = 60


@dataclass(frozen=True)
class Chromium:
    """A program that starts, and the environment that it needs beside the usual one."""

    program: Path
    environment: dict[str, str] = field(default_factory=dict)

    def starts(self) -> bool:
        """Ubuntu's package of this name is a text that says where else to look; libraries may be missing."""
        try:
            done = subprocess.run(
                [self.program, "--version"],
                env=self.variables(),
                capture_output=True,
                check=False,
                timeout=START_LIMIT_S,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    def variables(self) -> dict[str, str]:
        """The whole environment."""
        return {**without_ours(os.environ), **self.environment}


def find_or_fetch() -> Chromium:
    """Raises Unavailable with what to install."""
    for name in NAMES:
        found = shutil.which(name)
        if found and (installed := Chromium(Path(found))).starts():
            return installed
    target = SHARED_LIBRARY / f"chromium-{distribution()}-{platform.machine()}"
    with _one_at_a_time(target):
        if not target.exists():
            try:
                _fetch(target)
            except (Unavailable, OSError) as problem:
                raise Unavailable(f"{problem}; {ADVICE}") from None
    unpacked = _unpacked(target)
    if unpacked is None or not unpacked.starts():
        raise Unavailable(f"the Chromium of this distribution does not start; {ADVICE}")
    return unpacked


def _fetch(target: Path) -> None:
    """Unpacks beside and renames: a killed download leaves nothing that passes for a finished one."""
    half = target.with_name(target.name + ".new")
    shutil.rmtree(half, ignore_errors=True)
    apt.unpack(PACKAGE, half, always=FAMILY)
    (half / "fonts.conf").write_text(FONTS.format(target=target), encoding="utf-8")
    half.rename(target)


def _unpacked(target: Path) -> Chromium | None:
    programs = [path for path in sorted(target.glob("usr/lib/chromium*/*headless*shell")) if path.is_file()]
    if not programs:
        return None
    # Some packages keep libraries of their own in a folder of their own.
    libraries = {path.parent for path in target.glob("**/*-linux-gnu*/**/*.so*")}
    return Chromium(
        programs[0],
        {
            "LD_LIBRARY_PATH": ":".join(sorted(map(str, libraries))),
            "FONTCONFIG_FILE": str(target / "fonts.conf"),
        },
    )


@contextmanager
def _one_at_a_time(target: Path) -> Iterator[None]:
    """Two runs must not unpack into the same folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
