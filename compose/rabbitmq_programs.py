"""Where RabbitMQ's programs come from: the system's when it has them, else Debian's packages unpacked below
.local.

RabbitMQ is in no wheel. Unpacking is the same for root and for an ordinary user and leaves no service behind
on the machine, as installing the package would.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compose import apt
from compose.layout import SHARED_LIBRARY
from compose.problems import Unavailable
from compose.service import Say

OLDEST = (3, 10)
ERLANG_HOME = "/usr/lib/erlang"
INSTALLED = Path("/usr/lib/rabbitmq/lib")
ADVICE = (
    "install it as root with: apt-get install rabbitmq-server (3.10 or later),"
    " or give CROUPIER_AMQP_URL=amqp://user:password@host:5672/"
)
# Always taken together: a mixture of the system's Erlang and an unpacked one would not fit.
FAMILY = re.compile(r"rabbitmq-server|erlang-.*")


@dataclass(frozen=True)
class Programs:
    """RabbitMQ's own folder (with sbin/rabbitmq-server in it) and the folder with erl and epmd."""

    server_home: Path
    erlang_bin: Path
    libraries: tuple[Path, ...] = ()

    @property
    def server(self) -> Path:
        return self.server_home / "sbin" / "rabbitmq-server"

    @property
    def epmd(self) -> Path:
        return self.erlang_bin / "epmd"

    @property
    def version(self) -> tuple[int, ...]:
        """From the folder's name, such as rabbitmq_server-3.10.8."""
        return tuple(int(part) for part in re.findall(r"\d+", self.server_home.name)[:3])


def find_or_fetch(say: Say) -> Programs:
    """The programs, downloaded if they must be. Raises Unavailable with what to install or which setting to
    give.
    """
    if (installed := on_this_system()) is not None:
        return installed
    target = SHARED_LIBRARY / f"rabbitmq-{distribution()}-{platform.machine()}"
    with one_at_a_time(target):
        if not target.exists():
            say("downloading RabbitMQ and Erlang through apt-get (about 35 MB, once)")
            try:
                fetch(target)
            except (Unavailable, OSError) as problem:
                raise Unavailable(f"RabbitMQ could not be had: {problem}; {ADVICE}") from None
    programs = unpacked(target)
    if programs is None or programs.version < OLDEST:
        raise Unavailable(f"this distribution's RabbitMQ cannot be used; {ADVICE}")
    return programs


def on_this_system() -> Programs | None:
    """An installed RabbitMQ that is new enough."""
    erl = shutil.which("erl", path="/usr/lib/erlang/bin:/usr/local/bin:/usr/bin:/bin")
    if erl is None or not (Path(erl).parent / "epmd").exists():
        return None
    servers = [Programs(path, Path(erl).parent) for path in INSTALLED.glob("rabbitmq_server-*")]
    usable = [found for found in servers if found.version >= OLDEST and os.access(found.server, os.R_OK)]
    return max(usable, key=lambda found: found.version, default=None)


def fetch(target: Path) -> None:
    """Unpacks the packages into a folder beside and renames it: a killed download leaves nothing that passes
    for a finished one."""
    half = target.with_name(target.name + ".new")
    shutil.rmtree(half, ignore_errors=True)
    apt.unpack("rabbitmq-server", half, always=FAMILY)
    erl = half / "usr/lib/erlang/bin/erl"
    # Debian's erl names its folder in full; this is the only place that must know where it stands now.
    moved = f"{target}{ERLANG_HOME}"
    erl.write_text(erl.read_text().replace(f"ROOTDIR={ERLANG_HOME}", f'ROOTDIR="{moved}"'))
    half.rename(target)


def unpacked(target: Path) -> Programs | None:
    """The programs in an unpacked tree."""
    homes = sorted((target / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    if not homes:
        return None
    libraries = tuple(
        path for path in (*target.glob("usr/lib/*-linux-gnu*"), *target.glob("lib/*-linux-gnu*"))
    )
    return Programs(homes[-1], target / "usr/lib/erlang/bin", libraries)


def distribution() -> str:
    """Such as debian-12: packages of one distribution do not run on another."""
    with contextlib.suppress(OSError):
        facts = platform.freedesktop_os_release()
        return f"{facts.get('ID', 'linux')}-{facts.get('VERSION_ID', facts.get('VERSION_CODENAME', 'any'))}"
    return "linux-any"


@contextlib.contextmanager
def one_at_a_time(target: Path) -> Iterator[None]:
    """Two first runs must not unpack into the same folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
