"""An ingress of a test's own on the services of all tests, with settings of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compose import process
from compose.programs import OwnProgram
from compose.service import wait_until_ready
from compose.stack import Stack
from runtime.listening import url_host


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
