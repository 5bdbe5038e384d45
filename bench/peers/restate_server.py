"""The Restate server: fetched once by npm, run as a child on an empty folder, with the service's address."""

import asyncio
import base64
import contextlib
import hashlib
import os
import platform
import shutil
import socket
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from compose.layout import SHARED_LIBRARY
from runtime.services import Unreachable
from runtime.settings import Settings

VERSION: Final = "1.7.12"
# npm's own integrity of each platform's package, so that what runs is what was measured before.
INTEGRITY: Final = {
    ("Linux", "x86_64"): (
        "linux-x64",
        "URotJ1AIqaSCDkRMl4OrQfTLH+NYuOZb3ZsP7wxxiuAB6pncgPhTUYSvegTF5PTrAShnNyHNpju9kjf2O3QxoA==",
    ),
    ("Linux", "aarch64"): (
        "linux-arm64",
        "aV7YxWvPhp88MjQtObGDhDCTwCBa68wwZOAMmJqDreO0auHYuSfOqabEx4I90coZsx3zShNusppbTPKprOa+dw==",
    ),
}
FETCH_LIMIT_S: Final = 300.0
START_LIMIT_S: Final = 30.0
STOP_LIMIT_S: Final = 10.0


async def find_or_fetch() -> Path:
    """The server's program, about 80 MB to fetch and 230 MB on disk. Raises Unreachable with what is
    missing."""
    key = (platform.system(), platform.machine())
    if key not in INTEGRITY:
        raise Unreachable(f"there is no Restate server for {' '.join(key)}")
    name, digest = INTEGRITY[key]
    folder = SHARED_LIBRARY / f"restate-server-{VERSION}-{name}"
    if not folder.exists():
        await _fetch(f"@restatedev/restate-server-{name}@{VERSION}", digest, folder)
    return folder / "bin" / "restate-server"


async def _fetch(package: str, digest: str, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Unreachable(f"{package} is fetched with npm, which is not on this machine")
    SHARED_LIBRARY.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SHARED_LIBRARY) as scratch:
        place = Path(scratch)
        packing = await asyncio.create_subprocess_exec(
            *(npm, "pack", package, "--silent", "--pack-destination", scratch),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await asyncio.wait_for(packing.communicate(), FETCH_LIMIT_S)
        except BaseException:
            if packing.returncode is None:
                packing.kill()
            raise
        archives = [name for name in os.listdir(scratch) if name.endswith(".tgz")]
        if packing.returncode != 0 or len(archives) != 1:
            raise Unreachable(
                f"npm could not fetch {package}: {said.decode(errors='replace').strip()[-300:]}"
            )
        await asyncio.to_thread(_unpack, place / archives[0], digest, place)
        # Renamed when whole; another process may have been faster with the same bytes.
        with contextlib.suppress(OSError):
            (place / "package").rename(folder)


def _unpack(archive: Path, digest: str, place: Path) -> None:
    with archive.open("rb") as file:
        found = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if found != digest:
        raise Unreachable(f"{archive.name} is not the package that is pinned here: its SHA-512 differs")
    with tarfile.open(archive) as packed:
        # These very bytes were reviewed before they were pinned, and Python 3.11.2, which Debian 12 has,
        # knows no filter.
        packed.extractall(place)  # noqa: S202


@dataclass(frozen=True, slots=True)
class RestateServer:
    """A running server's admin API."""

    admin_url: str

    async def register(self, service_url: str) -> None:
        """Raises Unreachable when the server refuses the service."""
        async with httpx.AsyncClient(base_url=self.admin_url, timeout=START_LIMIT_S) as client:
            answer = await client.post("/deployments", json={"uri": service_url, "force": True})
        if answer.is_error:
            raise Unreachable(f"Restate refused the service: {answer.status_code} {answer.text[:300]}")


@asynccontextmanager
async def running(settings: Settings, ingress_port: int) -> AsyncIterator[RestateServer]:
    """A server whose ingress listens on `ingress_port`, with its default durability, over a new folder below
    the home. It ends with the block. Raises Unreachable."""
    program = await find_or_fetch()
    home = settings.home / "data" / "bench-restate"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, mode=0o700)
    admin_port = free_port()
    server = await asyncio.create_subprocess_exec(
        *_with_parent_death(str(program)),
        *("--base-dir", str(home), "--node-name", "bench", "--listen-mode", "tcp", "--no-logo"),
        stdin=asyncio.subprocess.DEVNULL,
        cwd=home,
        env={**os.environ, **_environment(settings.http_host, ingress_port, admin_port)},
    )
    try:
        found = RestateServer(f"http://127.0.0.1:{admin_port}")
        await _until_ready(server, f"{found.admin_url}/health")
        yield found
    finally:
        await _end(server)


def _environment(host: str, ingress_port: int, admin_port: int) -> dict[str, str]:
    return {
        "RESTATE_INGRESS__BIND_ADDRESS": f"{host}:{ingress_port}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin_port}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{free_port()}",
        # Its check for a newer version may fail: the benchmark needs none.
        "RESTATE_LOG_FILTER": "warn,octocrab=off",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }


def _with_parent_death(program: str) -> tuple[str, ...]:
    """Asks the kernel to end the server with us, where util-linux can."""
    setpriv = shutil.which("setpriv")
    return (program,) if setpriv is None else (setpriv, "--pdeathsig", "TERM", "--", program)


async def _until_ready(server: asyncio.subprocess.Process, url: str) -> None:
    try:
        async with asyncio.timeout(START_LIMIT_S), httpx.AsyncClient() as client:
            while server.returncode is None:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(url)).is_success:
                        return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise Unreachable(f"the Restate server was not ready within {START_LIMIT_S:.0f} s") from None
    raise Unreachable(f"the Restate server ended with {server.returncode}")


async def _end(server: asyncio.subprocess.Process) -> None:
    if server.returncode is None:
        server.terminate()
        try:
            await asyncio.wait_for(server.wait(), STOP_LIMIT_S)
        except TimeoutError:
            server.kill()
            await server.wait()


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
