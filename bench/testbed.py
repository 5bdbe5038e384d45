"""The services, the programs and the players of one run: every variant is up during the whole of it.

A variant that was started for its block would bring cold pools and cold code into each block, and the
starts would take a quarter of the time. Idle programs cost memory, and a little CPU for their polls: that
is measured while nobody plays and reported, and it is the same for all, since all are up in every block.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from bench.costs import LOAD, PROGRAM, Meter
from bench.loader import Loader
from bench.variants import Variant
from compose import control, process
from compose.layout import FREE_PORTS, is_free
from compose.problems import Died
from compose.programs import OwnProgram
from compose.service import wait_until_ready
from compose.stack import Operator, Stack
from runtime.settings import Settings

CURRENCY: Final = "EUR"
DEPOSIT: Final = 1_000_000_000  # minor units: no run can lose it
TIMEOUT_S: Final = 30.0
PEER_START_S: Final = 360.0  # the first time, one of them downloads its server
SERVICES: Final = ("temporal", "postgres", "rabbitmq")
OUTSIDE_SERVICES: Final = ("database_url", "amqp_url", "temporal_address")
BACKGROUND: Final = ("relay", "statistics", "reconciler", "webhooks")

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Testbed:
    """Everything is up. `tokens` are the players' session tokens; they and the broker's URL are secrets."""

    stack: Stack
    urls: dict[str, str] = field(repr=False)
    pids: dict[str, int]
    tokens: tuple[str, ...] = field(repr=False)
    loader: Loader

    def meter(self, variant: str) -> Meter:
        """CPU by family while this variant plays."""
        return Meter(self.roots([self.pids[variant]]))

    def meter_of_all(self) -> Meter:
        """CPU by family, with the programs of all variants as one."""
        return Meter(self.roots(list(set(self.pids.values()))))

    def roots(self, programs: list[int]) -> dict[str, list[int]]:
        """The first processes of each family, with these as the programs."""
        named = {name: self.stack.pid(name) for name in self.stack.names()}
        roots: dict[str, list[int]] = {name: [named[name]] for name in SERVICES if name in named}
        roots["background"] = [named[name] for name in BACKGROUND if name in named]
        return {**roots, PROGRAM: programs, LOAD: [self.loader.pid]}


def bench_settings(settings: Settings) -> Settings:
    """The same settings with a home and services of the benchmark's own, so that every run begins with an
    empty database and nobody's data is touched. Fewer log lines, as in production.
    """
    chosen_by_the_stack = (name for name in Settings.model_fields if name.endswith("_port"))
    own: dict[str, Any] = dict.fromkeys((*chosen_by_the_stack, *OUTSIDE_SERVICES), None)
    own |= {"home": settings.home / "bench", "keyring": Path("keyring.json")}
    own |= {"http_host": "127.0.0.1", "metrics_host": "127.0.0.1", "log_level": "warning"}
    return Settings(**{**dict(settings), **own})


@asynccontextmanager
async def open_testbed(
    settings: Settings, variants: Sequence[Variant], *, players: int, announce: Announce
) -> AsyncIterator[Testbed]:
    """Start everything on empty data; leaving the block stops it. Raises StackProblem."""
    if settings.home.exists():
        control.reset(settings)
    async with AsyncExitStack() as closing:
        stack = await closing.enter_async_context(Stack(settings))
        announce("starting PostgreSQL, RabbitMQ and Temporal")
        operator = await stack.start_services(provision=True)
        assert operator is not None, "it was asked to provision"
        announce("starting croupier")
        await stack.start_programs()
        base_url = str(stack.info(operator)["base_url"])
        urls, pids = {"croupier": base_url}, {"croupier": stack.pid("ingress")}
        for variant in variants:
            if variant.over_queue:
                urls[variant.name], pids[variant.name] = stack.addresses.amqp_url, pids["croupier"]
            elif variant.peer is not None:
                announce(f"starting {variant.name}")
                running, urls[variant.name] = await _start_peer(stack, variant, closing)
                pids[variant.name] = running.pid
        announce(f"seating {players} players")
        tokens = await seat(base_url, operator, players)
        loader = await closing.enter_async_context(Loader())
        yield Testbed(stack, urls, pids, tokens, loader)


async def _start_peer(stack: Stack, variant: Variant, closing: AsyncExitStack) -> tuple[process.Process, str]:
    assert variant.peer is not None
    environment = stack.environment()
    environment["CROUPIER_HTTP_PORT"] = str(port := free_port())
    environment["CROUPIER_METRICS_PORT"] = str(free_port())
    url = f"http://127.0.0.1:{port}"
    program = OwnProgram(
        name=f"peer-{variant.name}",
        module=variant.peer.module,
        ready_url=f"{url}{variant.ready_path}",
        settings=environment,
        start_seconds=PEER_START_S,
    )
    return await start_program(stack, program, closing), url


async def start_program(stack: Stack, program: OwnProgram, closing: AsyncExitStack) -> process.Process:
    """Start a program beside those of the stack and wait until it is ready; `closing` stops it. Raises Died
    with the last lines of its log, or Unavailable when it takes too long.
    """
    running = await process.start(program.command(), stack.layout)
    closing.push_async_callback(running.stop)
    await _ready_or_dead(program, running, stack)
    return running


async def _ready_or_dead(program: OwnProgram, running: process.Process, stack: Stack) -> None:
    probing = wait_until_ready(program.name, program.probe, limit_seconds=program.start_seconds)
    ready, ended = asyncio.ensure_future(probing), asyncio.ensure_future(running.wait())
    try:
        await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise Died(program.name, ended.result(), process.tail(stack.layout.log_of(program.name)))
        ready.result()
    finally:
        ready.cancel()
        ended.cancel()


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    while not is_free(port := random.choice(FREE_PORTS)):  # noqa: S311
        pass
    return port


async def seat(base_url: str, operator: Operator, players: int) -> tuple[str, ...]:
    """Players with money and a session at dice each. Returns their tokens. Raises httpx.HTTPError."""
    headers = {"Authorization": f"Bearer {operator.operator_key}"}
    async with httpx.AsyncClient(
        base_url=base_url, headers=headers, timeout=TIMEOUT_S, trust_env=False
    ) as http:
        return tuple([await _seat_one(http, f"bench-{number}") for number in range(players)])


async def _seat_one(http: httpx.AsyncClient, player_id: str) -> str:
    money = {"amount": DEPOSIT, "currency": CURRENCY}
    deposit = {"transaction_id": f"deposit-{player_id}", "amount": money}
    answer = await http.post(f"/v1/operator/players/{player_id}/deposits", json=deposit)
    answer.raise_for_status()
    session = {"player_id": player_id, "game_id": "dice", "currency": CURRENCY}
    answer = await http.post("/v1/operator/sessions", json=session)
    answer.raise_for_status()
    return str(answer.json()["token"])
