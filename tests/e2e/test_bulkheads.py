"""A wallet that hangs fills its own operator's share of the ingress: the bets and commands of others are
answered before any of its own."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from storage.database import Database
from tests.conftest import Services
from tests.e2e.parties import Gateway, Operator, Player, checked_problem
from tests.support.clients import frozen
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client
from tests.support.ingress import Ingress, one_more_ingress
from tests.support.operator_wallet import running_wallet
from tests.support.queue_caller import QueueCaller, calling, status
from tests.support.wallet_settings import program_settings, set_wallet

OPEN: Final = 20  # bets that are admitted at once
BETS: Final = 30
COMMANDS: Final = 60  # more than may run at once
RUNNING: Final = 10
TOTAL_MS: Final = 7_000
PATIENCE_MS: Final = 25_000


@dataclass(frozen=True, slots=True)
class Casino:
    """An operator whose wallet hangs, while the test lasts."""

    operator: Operator
    players: list[Player]
    metrics_url: str
    wake: Callable[[], None]

    async def metric(self, name: str, **labels: str) -> float:
        """Of this operator; 0 where it was never counted."""
        wanted = {"operator": self.operator.operator_id, **labels}
        async with http_client(timeout=HANG_S) as client:
            page = (await client.get(self.metrics_url)).text
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == name and sample.labels == wanted:
                    return sample.value
        return 0


@pytest.fixture
async def ingress(services: Services) -> AsyncIterator[Ingress]:
    """The only one, so that every command comes to it. Its clients wait for longer than the test lasts."""
    await services.stack.kill("ingress")
    try:
        async with one_more_ingress(
            services.stack, "bulkhead-ingress", client_patience_ms=PATIENCE_MS, max_open_bets=OPEN
        ) as running:
            yield running
    finally:
        await services.stack.start("ingress")


@pytest.fixture
async def house(gateway: Gateway, ingress: Ingress) -> AsyncIterator[Gateway]:
    """What the usual ingress has, at that one."""
    limits = httpx.Limits(max_connections=2 * BETS)
    async with http_client(base_url=ingress.base_url, timeout=HANG_S, limits=limits) as http:
        yield replace(gateway, http=http)


@pytest.fixture
async def casino(
    house: Gateway, ingress: Ingress, services: Services, database: Database
) -> AsyncIterator[Casino]:
    operator = await house.new_operator()
    async with running_wallet("--new-players", "100000") as wallet:
        settings = program_settings(services.stack)
        await set_wallet(
            settings,
            operator.operator_id,
            wallet.url,
            wallet.secret,
            read_ms=TOTAL_MS,
            total_ms=TOTAL_MS,
        )
        players = [await operator.open_session() for _ in range(BETS + COMMANDS)]

        async def seen() -> bool:
            balance = await players[0].call("GET", "/balance")
            return bool(balance.json() == {"balance": {"amount": 100_000, "currency": "EUR"}})

        async def over() -> bool:
            open_: int = await database.pool.fetchval(
                "SELECT count(*) FROM rounds WHERE operator_id = $1"
                " AND state NOT IN ('settled', 'declined', 'void')",
                operator.operator_id,
            )
            return open_ == 0

        await until(seen)
        # Each session is authenticated with its first bet, or a bet would end with that call, unsent.
        for first in range(0, len(players), RUNNING):
            await asyncio.gather(*(_authenticated(one) for one in players[first : first + RUNNING]))
        await until(over)
        with frozen(wallet.pid):
            wake = partial(os.kill, wallet.pid, signal.SIGCONT)
            yield Casino(operator, players, ingress.metrics_url, wake)
        await until(over)


async def _authenticated(player: Player) -> None:
    """With bets that are declined while the wallet is too slow to say who it is: its answer is remembered."""

    async def settled() -> bool:
        return (await player.bet()).status_code == 201

    await until(settled)


@pytest.fixture
async def caller(ingress: Ingress, amqp_url: str) -> AsyncIterator[QueueCaller]:
    async with calling(amqp_url) as caller:
        yield caller


async def test_bets_and_commands_of_others_do_not_wait_for_a_wallet_that_hangs(
    casino: Casino, caller: QueueCaller, house: Gateway
) -> None:
    other = await (await house.new_operator()).open_session(balance=1_000)
    awake = asyncio.Event()
    commands = [
        asyncio.create_task(caller.ask({"session_token": one.token, **one.wager()}))
        for one in casino.players[:COMMANDS]
    ]
    bets = [asyncio.create_task(_bets_until(awake, one)) for one in casino.players[COMMANDS:]]

    async def full() -> bool:
        return await casino.metric("croupier_operator_calls_refused_total", resource="bets") > 0

    async def overdue() -> bool:
        return await casino.metric("croupier_operator_calls_overdue") > 0

    await until(full)
    assert (await other.played())["state"] == "settled"
    assert status(await caller.ask({"session_token": other.token, **other.wager()})) == 201
    await until(overdue)
    assert not any(command.done() and status(command.result()) == 201 for command in commands)
    awake.set()
    casino.wake()
    await asyncio.gather(*commands)
    answers = [answer for answers in await asyncio.gather(*bets) for answer in answers]
    assert {answer.status_code for answer in answers} <= {201, 202, 503}
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused
    for response in refused:
        checked_problem(response, 503, "overloaded")


async def _bets_until(awake: asyncio.Event, player: Player) -> list[httpx.Response]:
    """The answers to one bet after another. On a machine so slow that the first bets have come to their limit
    before the last ones arrive, the ingress is full some time later."""
    answers: list[httpx.Response] = []
    while not awake.is_set():
        answers.append(await player.call("POST", "/rounds", json=player.wager()))
        if answers[-1].status_code == 503:
            with suppress(TimeoutError):
                await asyncio.wait_for(awake.wait(), int(answers[-1].headers["retry-after"]))
    return answers
