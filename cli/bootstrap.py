"""Makes `.venv` from the lock file: standard library only, because nothing else is installed yet.

`./croupier` runs this file by its path when the environment is missing, half made or older than the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
STAMP = "croupier.stamp"
# A registry or a proxy that is away for a moment is the commonest reason for which a first run fails.
TRIES = 3
PAUSE_S = 10.0
HOW_TO_GET_PIP = "install it with: apt-get install python3-venv (or python3.X-venv for a Python of your own)"


class BootstrapError(Exception):
    """What stands in the way and what to do about it, in one line."""


def main(root: Path) -> int:
    """Make the environment below `root`. Returns the exit code: 0, or 2 with one line on standard error."""
    try:
        with one_at_a_time(root / ".local" / "bootstrap.lock"):
            # Another first run may have made it while this one waited for the lock.
            if not is_current(root):
                build(root)
    except BootstrapError as problem:
        say(f"{problem}")
        return 2
    except PermissionError as problem:
        say(
            f"no permission for {problem.filename}: run as the owner of {root}, or copy the project elsewhere"
        )
        return 2
    except KeyboardInterrupt:
        say("stopped; the next run begins the environment again")
        return 130
    return 0


def build(root: Path) -> None:
    """Remove what is there, make a new environment, install the lock and write the stamp last."""
    started = time.monotonic()
    environment = root / ".venv"
    say(f"preparing {environment} with Python {sys.version.split()[0]} (once; later runs skip this)")
    shutil.rmtree(environment, ignore_errors=True)
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    venv.EnvBuilder(with_pip=has_ensurepip, symlinks=True).create(environment)
    pip = [] if has_ensurepip else [str(borrowed_pip(root))]
    say("downloading and installing the packages of requirements.lock")
    install(environment, root / "requirements.lock", pip)
    site_packages = next(environment.glob("lib/python3*/site-packages"))
    (site_packages / "croupier.pth").write_text(f"{root}\n")
    write_atomically(environment / STAMP, stamp_of(root))
    say(f"environment ready after {time.monotonic() - started:.0f} s")


def add_test_tools(root: Path) -> None:
    """Install the tools of `croupier test` into the environment, unless this very lock is there already. They
    are a second layer so that the first `up` does not wait for a download nearly half as large again. Tests
    and types cover the benchmark too, so its tools come along.
    """
    add_layer(root, "test")
    add_layer(root, "bench")


def add_bench_tools(root: Path) -> None:
    """Install the tools of `croupier bench`: histograms, plots and the libraries of its peers."""
    add_layer(root, "bench")


def add_layer(root: Path, layer: str) -> None:
    """Install `requirements-{layer}.lock` on top of the environment, unless this very lock is there
    already.
    """
    lock, stamp = root / f"requirements-{layer}.lock", root / ".venv" / f"croupier-{layer}.stamp"
    with one_at_a_time(root / ".local" / "bootstrap.lock"):
        if stamp.is_file() and stamp.read_text() == lock.read_text():
            return
        say(f"installing the tools of {lock.name} (once)")
        has_pip = list((root / ".venv").glob("lib/python3*/site-packages/pip"))
        install(root / ".venv", lock, [] if has_pip else [str(borrowed_pip(root))])
        write_atomically(stamp, lock.read_text())


def install(environment: Path, lock: Path, borrowed: list[str]) -> None:
    """Install exactly what `lock` names, checked by hash. Registries and certificates come from the user's
    own configuration of pip. Bytecode is left to the first import: compiling everything takes longer than
    what is used.
    """
    for tries_left in reversed(range(TRIES)):
        lines = run_pip(pip_command(environment, lock, borrowed), total=count_packages(lock))
        if lines is None:
            return
        sys.stderr.write("".join(lines[-15:]))
        if tries_left:
            say(f"pip could not install {lock.name}; trying again in {PAUSE_S:.0f} s")
            time.sleep(PAUSE_S)
    raise BootstrapError(f"pip could not install {lock.name}; its last lines are above")


def pip_command(environment: Path, lock: Path, borrowed: list[str]) -> list[str]:
    """The whole call of pip; `borrowed` is a pip from elsewhere, for an environment without its own."""
    python = str(environment / "bin" / "python")
    pip = [python, *borrowed] if borrowed else [python, "-m", "pip"]
    command = [*pip, "install", "--require-hashes", "--only-binary", ":all:", "--no-deps", "--no-compile"]
    command += [
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        "--requirement",
        str(lock),
    ]
    return command


def run_pip(command: list[str], *, total: int) -> list[str] | None:
    """Returns None when everything is installed, else what pip said."""
    with subprocess.Popen(
        command,
        env=with_system_certificates(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        close_fds=False,  # pip holds the lock too, so that a pip whose parent was killed keeps others out
    ) as progress:
        lines = show_progress(progress, total=total)
    return None if progress.returncode == 0 else lines


def show_progress(process: subprocess.Popen[str], *, total: int) -> list[str]:
    """Count the packages as pip comes to them. Returns everything pip said, for the case that it fails."""
    assert process.stdout is not None
    lines: list[str] = []
    seen = 0
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Collecting "):
            seen += 1
            if seen % 10 == 0:
                say(f"  {seen} of about {total} packages fetched")
        elif line.startswith("Installing collected"):
            say("  unpacking")
    return lines


def count_packages(lock: Path) -> int:
    """The number of packages that a lock names."""
    return sum("==" in line and not line.startswith((" ", "#")) for line in lock.read_text().splitlines())


def borrowed_pip(root: Path) -> Path:
    """A pip for a Python without ensurepip (Debian's, without python3-venv): the wheel that Debian ships for
    it, unpacked under `.local`, which needs no rights and changes nothing on the system. A wheel runs as a
    program.
    """
    target = root / ".local" / "lib" / "pip"
    if not list(target.glob("usr/share/python-wheels/pip-*.whl")):
        if not (shutil.which("apt-get") and shutil.which("dpkg")):
            raise BootstrapError(f"this Python has no ensurepip; {HOW_TO_GET_PIP}")
        say("this Python has no ensurepip: fetching pip through apt-get into .local")
        fetch_debian_pip(target)
    wheels = sorted(target.glob("usr/share/python-wheels/pip-*.whl"))
    if not wheels:
        raise BootstrapError(f"apt-get had no pip to offer; {HOW_TO_GET_PIP}")
    return wheels[-1] / "pip"


def fetch_debian_pip(target: Path) -> None:
    """Download and unpack python3-pip-whl with package lists of our own, as any user."""
    lists, archives = target / "state" / "lists" / "partial", target / "cache" / "archives" / "partial"
    lists.mkdir(parents=True, exist_ok=True)
    archives.mkdir(parents=True, exist_ok=True)
    apt = ["apt-get", "-qq", "-o", f"Dir::State={target / 'state'}", "-o", f"Dir::Cache={target / 'cache'}"]
    apt += ["-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "APT::Sandbox::User="]
    for arguments in (["update"], ["download", "python3-pip-whl"]):
        run_apt([*apt, *arguments], target)
    for package in target.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(target)], check=True)
        package.unlink()
    for folder in ("state", "cache"):
        shutil.rmtree(target / folder)


def run_apt(command: list[str], folder: Path) -> None:
    """Run an apt-get that downloads, again if need be."""
    for tries_left in reversed(range(TRIES)):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if tries_left:
            time.sleep(PAUSE_S)
    raise BootstrapError(f"apt-get failed ({done.stderr.strip()[-300:]}); {HOW_TO_GET_PIP}")


def with_system_certificates() -> dict[str, str]:
    """The environment for pip. Old versions of pip trust only their own list of authorities, so a company's
    network needs the system's; REQUESTS_CA_BUNDLE yields to a certificate in the user's pip configuration.
    """
    # Our own settings do not concern pip, and some are secrets.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CROUPIER_")}
    chosen = environment.get("SSL_CERT_FILE", str(SYSTEM_CERTIFICATES))
    if "REQUESTS_CA_BUNDLE" not in environment and Path(chosen).is_file():
        environment["REQUESTS_CA_BUNDLE"] = chosen
    return environment


def is_current(root: Path) -> bool:
    """Whether `.venv` was finished from this very lock, in this very folder."""
    stamp = root / ".venv" / STAMP
    return (
        stamp.is_file()
        and stamp.read_text() == stamp_of(root)
        and os.access(root / ".venv/bin/python", os.X_OK)
    )


def stamp_of(root: Path) -> str:
    """What the stamp must hold; `./croupier` compares the same without starting Python."""
    return f"{root}\n{(root / 'requirements.lock').read_text()}"


def write_atomically(path: Path, text: str) -> None:
    """A reader sees the whole file or none."""
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(path)


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that the kernel releases when this process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is preparing the environment; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.set_inheritable(lock.fileno(), True)
        yield


def say(text: str) -> None:
    """Progress goes to standard error: standard output belongs to the command."""
    sys.stderr.write(f"croupier: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
