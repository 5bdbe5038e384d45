"""An ingress of a test's own on the services of all tests, with settings of its own; or several behind one
port."""

import dataclasses
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from compose import ingresses, process
from compose.programs import OwnProgram
from compose.service import wait_until_ready
from compose.stack import Stack
from runtime.listening import url_host
from tests.support.clients import frozen
from tests.support.conditions import HANG_S
from tests.support.http import http_client


@dataclass(frozen=True, slots=True)
class Ingress:
    base_url: str
    metrics_url: str
    running: process.Process
    log: Path


@asynccontextmanager
async def one_more_ingress(
    stack: Stack, name: str, *, called: str = "127.0.0.1", **settings: Any
) -> AsyncIterator[Ingress]:
    """Ready, until the block ends. `called` is the host at which it is; `settings` are those of
    croupier.example.toml."""
    port, metrics_port = stack.port(name), stack.port(f"{name}-metrics")
    variables = {f"CROUPIER_{key.upper()}": str(value) for key, value in settings.items()}
    base_url = f"http://{url_host(called)}:{port}"
    program = OwnProgram(
        name=name,
        module="workers.serve",
        ready_url=f"{base_url}/readyz",
        settings={
            **stack.environment(),
            "CROUPIER_HTTP_PORT": str(port),
            "CROUPIER_METRICS_PORT": str(metrics_port),
            **variables,
        },
    )
    running = await process.start(program.command(), stack.layout)
    try:
        await wait_until_ready(name, program.probe, limit_seconds=program.start_seconds)
        yield Ingress(
            base_url, f"http://127.0.0.1:{metrics_port}/metrics", running, stack.layout.log_of(name)
        )
    finally:
        await running.stop()


async def is_ready(http: httpx.AsyncClient, base_url: str = "") -> bool:
    """For a condition to wait for: on a busy machine a check may take a second, and then it does not pass."""
    try:
        return (await http.get(f"{base_url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def is_draining(base_url: str) -> bool:
    """Whether the ingress says, on a new connection, that it stops."""
    async with http_client(timeout=HANG_S) as http:
        answer = await http.get(f"{base_url}/readyz")
    return answer.status_code == 503 and "draining" in answer.json()["failing"]


@dataclass(frozen=True, slots=True)
class Several:
    """Ingress processes behind one port, by their names."""

    stack: Stack
    base_url: str
    programs: dict[str, OwnProgram]
    running: dict[str, process.Process]

    async def start(self, name: str) -> None:
        """Returns when it is ready."""
        program = self.programs[name]
        self.running[name] = await process.start(program.command(), self.stack.layout)
        await wait_until_ready(name, program.probe, limit_seconds=program.start_seconds)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Whoever connects inside the block is accepted by this process: the others stand still."""
        with ExitStack() as others:
            for other, running in self.running.items():
                if other != name:
                    others.enter_context(frozen(running.pid))
            yield

    async def gauge(self, name: str, metric: str) -> float:
        """A figure of one process, which has a metrics port of its own."""
        async with http_client(timeout=HANG_S) as http:
            text = (await http.get(self.programs[name].ready_url)).text
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{metric} ")))


@asynccontextmanager
async def several_ingresses(stack: Stack, count: int, **settings: Any) -> AsyncIterator[Several]:
    """Ready, until the block ends: the processes that `up --ingress` starts, under names of a test's own."""
    chosen = stack.settings.model_copy(update=settings)
    port = stack.port("several")

    def variables(name: str) -> dict[str, str]:
        own = {f"CROUPIER_{key.upper()}": str(value) for key, value in settings.items()}
        metrics_port = str(stack.port(f"several-{name}-metrics"))
        return {**stack.environment(), **own, "CROUPIER_METRICS_PORT": metrics_port}

    with ingresses.share(chosen, port) as listener:
        programs = {
            program.name: dataclasses.replace(program, name=f"several-{program.name}")
            for program in ingresses.programs(count, listener, chosen, variables)
        }
        several = Several(stack, f"http://127.0.0.1:{port}", programs, {})
        try:
            for name, program in programs.items():
                several.running[name] = await process.start(program.command(), stack.layout)
            for name, program in programs.items():
                await wait_until_ready(name, program.probe, limit_seconds=program.start_seconds)
            yield several
        finally:
            for running in several.running.values():
                await running.stop()
