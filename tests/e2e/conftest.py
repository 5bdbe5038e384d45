"""What the tests over HTTP share: the running gateway, its operator, and another one."""

import asyncio
import dataclasses
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from compose.programs import OwnProgram
from runtime.settings import PROJECT_ROOT
from storage.database import Database
from tests.conftest import Services
from tests.e2e.described import Description
from tests.e2e.parties import Gateway, Operator, Player, is_told_of_rounds
from tests.support.conditions import HANG_S, until
from tests.support.console import console_server
from tests.support.http import http_client
from tests.support.ingress import is_ready

# As long as any program of the stack may take to start.
START_S = OwnProgram.start_seconds


@pytest.fixture(scope="session")
async def gateway(
    platform: dict[str, Any], services: Services, database: Database, temporal: Client
) -> AsyncIterator[Gateway]:
    # Before each call httpx looks at every connection that is idle.
    limits = httpx.Limits(max_connections=120, max_keepalive_connections=8)
    async with http_client(base_url=platform["base_url"], timeout=HANG_S, limits=limits) as http:
        description = Description((await http.get("/openapi.json")).json())
        http.event_hooks = {"response": [description.check]}
        secrets = [platform["operator_key"]]
        yield Gateway(http, database, temporal, services.keyring, secrets)


@pytest.fixture(scope="session")
def base_url(platform: dict[str, Any]) -> str:
    url: str = platform["base_url"]
    return url


@pytest.fixture(scope="session")
async def operator(gateway: Gateway, platform: dict[str, Any]) -> Operator:
    """The operator that comes with the stack."""
    return Operator(gateway, platform["operator_id"], platform["operator_key"])


@pytest.fixture(scope="session")
async def rival(gateway: Gateway) -> Operator:
    """Another operator, whose data nobody else may see."""
    return await gateway.new_operator()


@pytest.fixture(scope="module")
async def told(platform: dict[str, Any], operator: Operator) -> None:
    """Sockets hear of rounds: tests before may have stopped what brings it."""
    player = await operator.open_session(balance=1_000_000)
    await until(lambda: is_told_of_rounds(platform["base_url"], player))


@pytest.fixture(scope="module")
async def console(services: Services, platform: dict[str, Any]) -> AsyncIterator[str]:
    """The address of the console that `up` starts."""
    async with console_server(services.stack) as url:
        yield url


@pytest.fixture(scope="module")
async def talkative(
    gateway: Gateway, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Gateway, Path]]:
    """A second ingress beside the first, with its log at the finest level."""
    port = services.stack.port("talkative")
    settings = {"CROUPIER_HTTP_PORT": str(port), "CROUPIER_LOG_LEVEL": "debug"}
    log = tmp_path_factory.mktemp("talkative") / "ingress.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "workers.serve"),
            env={**os.environ, **services.stack.environment(), **settings},
            cwd=PROJECT_ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        async with http_client(base_url=f"http://127.0.0.1:{port}", timeout=HANG_S) as http:
            await until(lambda: is_ready(http), within_s=START_S)
            yield dataclasses.replace(gateway, http=http), log
    finally:
        process.terminate()
        assert await process.wait() == 0


@pytest.fixture
async def player(operator: Operator) -> Player:
    """A player at the dice with 100.00 EUR."""
    return await operator.open_session(balance=10_000)
