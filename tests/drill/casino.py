"""The casino of the drill: a stack of its own that is scraped, operators with wallets of their own, players
with names that must be found nowhere, and what an SRE types."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx
from sqlalchemy import make_url

from compose import tools
from compose.layout import write_json
from compose.stack import Stack, all_or_first_problem
from runtime.settings import Settings
from runtime.temporal import connect
from security.keyring import Keyring
from storage import operators
from storage.database import Database, open_database
from tests.drill.alerts import every_series
from tests.drill.recorder import Recorder, Target
from tests.e2e.parties import Gateway, Operator, Player
from tests.support.collector import Collector, collecting
from tests.support.commands import Ended, invoke
from tests.support.conditions import HANG_S
from tests.support.http import http_client
from tests.support.operator_wallet import RunningWallet, running_wallet
from tests.support.wallet_settings import program_settings, set_wallet

# Operators with a wallet of their own, by what happens to it.
AWAY, SLOW, LATE = "away", "slow", "late"
BALANCE: Final = 1_000_000
GAMES: Final = ("games.dice:GAME", "tests.support.bad_games:PUPPET")
# A client that waits longer for its round is told that it is pending.
PATIENCE_MS: Final = 2_000
RECONCILE_EVERY_S: Final = 5
PLANTED: Final = "planted-player"
TOOLS: Final[dict[str, Callable[[Settings], tools.Tool]]] = {
    "temporal": tools.temporal_cli,
    "rabbitmqctl": tools.rabbitmqctl,
}


@dataclass
class Casino:
    """`houses` are the operators by their ids, `wallets` those of them that have one."""

    stack: Stack
    database: Database
    gateway: Gateway
    houses: dict[str, Operator]
    wallets: dict[str, RunningWallet]
    recorder: Recorder
    spans: Collector
    _broker: asyncio.Task[None]
    _typing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def until_connected(self) -> None:
        """Returns when the broker runs, and every program has found it."""
        await self._broker
        recorder = self.recorder
        while recorder.at(recorder.tick, "croupier_broker_connected", min, {}) != 1:
            await recorder.next()

    # Players

    async def seat(self, house: str = "demo", **session: Any) -> Player:
        """A player with money, whose id is a canary."""
        operator = self.houses[house]
        player_id = f"{PLANTED}-{uuid4().hex}"
        balance = 0 if house in self.wallets else BALANCE
        return await operator.open_session(player_id, balance=balance, **session)

    async def ready(self) -> bool:
        """Whether the ingress takes rounds and all of its services answer."""
        try:
            answer = await self.gateway.http.get("/readyz")
        except httpx.TransportError:
            return False
        return bool(answer.json()["status"] == "ready")

    # What an SRE types

    async def croupier(self, *words: str) -> Ended:
        """Exit code, output and errors of `./croupier` with these words."""
        if words[0] == "psql":
            return await self._tool(tools.psql(self.settings, write="--write" in words), *words[1:])
        if (tool := TOOLS.get(words[0])) is not None:
            return await self._tool(tool(self.settings), *words[1:])
        async with self._typing:  # it takes the standard output for itself
            variables = {"CROUPIER_HOME": str(self.stack.settings.home)}
            return await asyncio.to_thread(invoke, variables, *words)

    async def _tool(self, tool: tools.Tool, *words: str) -> Ended:
        """What `./croupier` becomes, without becoming it."""
        running = await asyncio.create_subprocess_exec(
            *(*tool.argv, *(word for word in words if word != "--write")),
            env=dict(tool.environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(running.communicate(), HANG_S)
        assert running.returncode is not None
        return running.returncode, output.decode(), errors.decode()

    @property
    def settings(self) -> Settings:
        """As a command has them that is typed on the stack's machine."""
        return Settings(home=self.stack.settings.home)


def as_typed(template: str, names: Mapping[str, str]) -> list[str]:
    """The words of a command of a page, with its placeholders filled in."""
    for name, value in names.items():
        template = re.sub(rf"\b{name}\b", value, template)
    return shlex.split(template)


@asynccontextmanager
async def casino(home: Path) -> AsyncIterator[Casino]:
    """Everything runs and is scraped; ends with the block."""
    async with AsyncExitStack() as closing:
        spans = await closing.enter_async_context(collecting())
        settings = Settings(
            home=home,
            games=GAMES,
            client_patience_ms=PATIENCE_MS,
            reconcile_every_s=RECONCILE_EVERY_S,
            traces_endpoint=spans.url,
            traces_sample_ratio=1,
        )
        stack = await closing.enter_async_context(Stack(settings))
        names = (AWAY, SLOW, LATE)
        opening = (running_wallet("--new-players", str(BALANCE), "--fast") for _ in names)
        found = await asyncio.gather(*map(closing.enter_async_context, opening))
        wallets = dict(zip(names, found, strict=True))
        # It takes the longest to start, and rounds need none.
        broker = asyncio.create_task(stack.start_broker())
        closing.push_async_callback(_ended, broker)
        yield await _opened(stack, wallets, spans, broker, closing)


async def _ended(starting: asyncio.Task[None]) -> None:
    starting.cancel()
    await asyncio.wait([starting])


async def _opened(
    stack: Stack,
    wallets: dict[str, RunningWallet],
    spans: Collector,
    broker: asyncio.Task[None],
    closing: AsyncExitStack,
) -> Casino:
    await all_or_first_problem(stack.start_database(), stack.start_temporal())
    demo = await stack.provision()
    database = await open_database(stack.addresses.database_url, connections=5)
    closing.push_async_callback(database.close)
    for name, wallet in wallets.items():
        await operators.ensure_operator(database.pool, operator_id=name, name="of the drill")
        await set_wallet(program_settings(stack), name, wallet.url, wallet.secret)
    await stack.start_programs()
    info = stack.info(demo)
    write_json(stack.layout.stack_file, info)
    keyring = Keyring.load(stack.settings.keyring)
    addresses = stack.addresses
    temporal = await connect(
        addresses.temporal_address, namespace=addresses.temporal_namespace, keyring=keyring
    )
    http = await closing.enter_async_context(http_client(base_url=info["base_url"], timeout=HANG_S))
    gateway = Gateway(http, database, temporal, keyring, secrets=[demo.operator_key])
    houses = {name: Operator(gateway, name, await gateway.new_key(name)) for name in wallets}
    houses["demo"] = Operator(gateway, demo.operator_id, demo.operator_key)
    targets = [Target(job, url) for job, url in info["metrics_urls"].items()]
    recorder = Recorder(targets, every_series())
    await closing.enter_async_context(recorder.running())
    return Casino(stack, database, gateway, houses, wallets, recorder, spans, broker)


@asynccontextmanager
async def forgotten_transaction(casino: Casino) -> AsyncIterator[int]:
    """A transaction of another database of the server that has a snapshot and does not end; its pid."""
    url = make_url(casino.stack.addresses.database_url).set(database="postgres")
    connection = await asyncpg.connect(
        url.render_as_string(hide_password=False), server_settings={"application_name": "a report"}
    )
    try:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await connection.execute("SELECT 1")
        yield connection.get_server_pid()
    finally:
        connection.terminate()
