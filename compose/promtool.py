"""Prometheus' own checker of rules, promtool: the system's when it has one, else Debian's, unpacked below
.local."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Final

from compose import apt
from compose.layout import SHARED_LIBRARY
from compose.problems import Unavailable
from compose.rabbitmq_programs import distribution, one_at_a_time
from compose.service import Say

ADVICE: Final = "install it as root with: apt-get install prometheus, or put promtool on the PATH"
PACKAGE: Final = "prometheus"


def find_or_fetch(say: Say) -> Path:
    """The program, downloaded if it must be. Raises Unavailable with what to install."""
    if (installed := shutil.which("promtool")) is not None:
        return Path(installed)
    target = SHARED_LIBRARY / f"promtool-{distribution()}-{platform.machine()}"
    with one_at_a_time(target):
        if not target.exists():
            say("downloading promtool through apt-get (about 20 MB, once)")
            try:
                _fetch(target)
            except (Unavailable, OSError) as problem:
                raise Unavailable(f"promtool could not be had: {problem}; {ADVICE}") from None
    return target


def _fetch(target: Path) -> None:
    """Keeps the one program of a package that also has the server; it needs nothing but the C library."""
    half = target.with_name(target.name + ".new")
    shutil.rmtree(half, ignore_errors=True)
    try:
        apt.unpack_alone(PACKAGE, half)
        program = half / "usr" / "bin" / "promtool"
        if not program.exists():
            raise Unavailable(f"this distribution's package {PACKAGE} has none")
        os.replace(program, target)
    finally:
        shutil.rmtree(half, ignore_errors=True)
