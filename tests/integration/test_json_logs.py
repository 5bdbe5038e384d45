"""Each line of each program's log in JSON is one object: from start to end, and with the services away."""

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

from runtime.settings import PROJECT_ROOT
from tests.conftest import Services
from tests.integration.cable import Cable
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client

PROGRAMS: Final = ("serve", "relay", "statistics", "reconciler", "webhooks")
# What each of them says of an outage, before its core does.
NOTICED: Final = {
    "serve": "the database is away",
    "relay": "the sweep failed and is repeated",
    "statistics": "no broker, trying again",
    "reconciler": "is compared with Temporal again soon",
    "webhooks": "webhooks are checked again later",
}
# By itself the core writes with colours, and no object.
CORE: Final = "[sdk_core::temporalio_client"
OF_TEMPORAL: Final = ("serve", "reconciler", "webhooks")
FIELDS: Final = {"at", "level", "logger", "message", "request_id", "trace_id", "exception"}
START_S: Final = 120.0


@dataclass
class Program:
    """One that runs, with its log."""

    name: str
    running: asyncio.subprocess.Process
    log: Path
    metrics_url: str
    base_url: str

    def lines(self) -> list[dict[str, Any]]:
        """All of them, each of which must be one object."""
        found = []
        for text in self.log.read_text().splitlines():
            line = json.loads(text)
            assert {"at", "level", "logger", "message"} <= set(line) <= FIELDS, text
            found.append(line)
        return found

    async def ready(self) -> bool:
        url = f"{self.base_url}/readyz" if self.name == "serve" else self.metrics_url
        assert self.running.returncode is None, self.log.read_text()
        try:
            async with http_client(timeout=HANG_S) as http:
                return (await http.get(url)).status_code == 200
        except httpx.TransportError:
            return False

    async def says(self, text: str) -> bool:
        return text in self.log.read_text()


class Cables:
    """The cables to the three services, and the addresses that lead through them."""

    def __init__(self, services: Services) -> None:
        addresses = services.stack.addresses
        self._urls = {
            "CROUPIER_DATABASE_URL": addresses.application_database_url,
            "CROUPIER_AMQP_URL": addresses.application_amqp_url,
            "CROUPIER_TEMPORAL_ADDRESS": addresses.temporal_address,
        }
        self.cables: dict[str, Cable] = {}

    async def open(self, exits: AsyncExitStack) -> dict[str, str]:
        variables = {}
        for name, url in self._urls.items():
            parts = urlsplit(url if "://" in url else f"//{url}")
            assert parts.hostname is not None
            assert parts.port is not None
            cable = await exits.enter_async_context(Cable(parts.hostname, parts.port))
            self.cables[name] = cable
            variables[name] = url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{cable.port}")
        return variables


async def start(services: Services, name: str, folder: Path, variables: dict[str, str]) -> Program:
    stack = services.stack
    port, metrics_port = stack.port(f"json-{name}"), stack.port(f"json-{name}-metrics")
    log = folder / f"{name}.log"
    settings = {
        **stack.environment(),
        **variables,
        "CROUPIER_HTTP_PORT": str(port),
        "CROUPIER_METRICS_PORT": str(metrics_port),
        "CROUPIER_LOG_FORMAT": "json",
        "CROUPIER_LOG_LEVEL": "debug",
    }
    with log.open("wb") as output:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"workers.{name}"),
            env={**os.environ, **settings},
            cwd=PROJECT_ROOT,
            stdout=output,
            stderr=output,
        )
    base, metrics = (f"http://127.0.0.1:{each}" for each in (port, metrics_port))
    return Program(name, running, log, f"{metrics}/metrics", base)


@pytest.fixture
def through(services: Services) -> Cables:
    return Cables(services)


async def test_with_every_service_away_and_back_each_line_is_an_object(
    services: Services, through: Cables, tmp_path: Path
) -> None:
    async with AsyncExitStack() as exits:
        variables = await through.open(exits)
        programs: list[Program] = []
        try:
            for name in PROGRAMS:  # one by one: a start has a limit, and five at once share the processors
                programs.append(await start(services, name, tmp_path, variables))
                await until(programs[-1].ready, within_s=START_S)
            for cable in through.cables.values():
                await cable.cut()
            refused = await _balance(programs[0], services)
            assert refused.status_code == 503
            await asyncio.gather(*(_until_said(one, NOTICED[one.name]) for one in programs))
            await asyncio.gather(*(_until_said(one, CORE) for one in programs if one.name in OF_TEMPORAL))
            for cable in through.cables.values():
                await cable.repair()
            await asyncio.gather(*(until(one.ready) for one in programs))
        finally:
            for one in programs:
                if one.running.returncode is None:
                    one.running.send_signal(signal.SIGTERM)
            codes = [await asyncio.wait_for(one.running.wait(), HANG_S) for one in programs]
    assert codes == [0] * len(programs)
    said = {one.name: one.lines() for one in programs}
    assert all(said.values())
    (line,) = (line for line in said["serve"] if NOTICED["serve"] in line["message"])
    assert re.fullmatch("mine[.][0-9a-f]{32}", line["request_id"])
    assert line["request_id"] == refused.headers["x-request-id"]


async def _balance(ingress: Program, services: Services) -> httpx.Response:
    headers = {"Authorization": f"Bearer {services.operator.operator_key}", "X-Request-Id": "mine"}
    async with http_client(base_url=ingress.base_url, timeout=HANG_S) as http:
        return await http.get("/v1/operator/rounds", headers=headers)


async def _until_said(program: Program, text: str) -> None:
    try:
        await until(lambda: program.says(text))
    except TimeoutError:
        raise AssertionError(f"{program.name} says nothing of it:\n{program.log.read_text()}") from None


@pytest.mark.parametrize(
    ("variables", "code", "words"),
    [
        ({"CROUPIER_DATABASE_URL": "postgresql://a:b@127.0.0.1:9/c"}, 1, "does not answer"),
        ({"CROUPIER_MAX_OPEN_BETS": "none"}, 2, "max_open_bets"),
    ],
    ids=["a-service-is-away", "a-setting-is-wrong"],
)
async def test_a_program_that_cannot_start_says_so_in_one_object(
    services: Services, tmp_path: Path, variables: dict[str, str], code: int, words: str
) -> None:
    program = await start(services, "relay", tmp_path, variables)
    assert await asyncio.wait_for(program.running.wait(), START_S) == code
    problems = [line for line in program.lines() if line["level"] == "error"]
    assert [words in line["message"] for line in problems] == [True]
