"""The filled side: a second database with earlier rounds in the same cluster, and an ingress on it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
from sqlalchemy import make_url

from api.session.service import SessionService
from bench.earlier import CURRENCY, load_earlier_rounds, player_ids
from bench.testbed import Testbed, free_port, start_program
from compose.programs import OwnProgram
from games.dice import GAME
from security.keyring import Keyring
from security.seeds import SeedVault
from security.tokens import TokenIssuer
from storage import migrate, operators
from storage.database import open_database

OPERATOR: Final = "earlier"
ROUNDS_OF_A_PLAYER: Final = 100
DATABASE: Final = "filled"
TASK_QUEUE: Final = "croupier-rounds-filled"
START_S: Final = 60.0
CHECKPOINT_LIMIT_S: Final = 600.0

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Side:
    """An ingress on a database of its own, and the session tokens of players there, which are secrets."""

    name: str
    url: str
    pid: int
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was loaded, and how long that took in seconds."""

    rounds: int
    players: int
    seconds: float


def rounds_for(rounds: int, *, at_least: int) -> tuple[int, int]:
    """How many players have the earlier rounds, and how many each; together at least `rounds`."""
    players = max(rounds // ROUNDS_OF_A_PLAYER, at_least)
    return players, math.ceil(rounds / players)


@asynccontextmanager
async def filled_side(
    testbed: Testbed, *, name: str, rounds: int, most_players: int, announce: Announce
) -> AsyncIterator[tuple[Side, Earlier]]:
    """A database with at least `rounds` earlier rounds in the same cluster, and an ingress on it for as long
    as the block. `most_players` of its players have a session. Raises StackProblem, asyncpg.PostgresError or
    OSError.
    """
    announce("making a second database")
    url = await _second_database(testbed)
    tokens, earlier = await _fill(testbed, url, rounds, most_players, announce)
    announce("starting the ingress on the filled database")
    environment = testbed.stack.environment()
    environment["CROUPIER_DATABASE_URL"] = url
    environment["CROUPIER_TASK_QUEUE"] = TASK_QUEUE
    environment["CROUPIER_HTTP_PORT"] = str(port := free_port())
    environment["CROUPIER_METRICS_PORT"] = str(free_port())
    base_url = f"http://127.0.0.1:{port}"
    program = OwnProgram(
        name="ingress-filled",
        module="workers.serve",
        ready_url=f"{base_url}/readyz",
        settings=environment,
        start_seconds=START_S,
    )
    async with AsyncExitStack() as closing:
        running = await start_program(testbed.stack, program, closing)
        yield Side(name, base_url, running.pid, tokens), earlier


async def _second_database(testbed: Testbed) -> str:
    """Its URL, with the password."""
    first = testbed.stack.addresses.database_url
    connection = await asyncpg.connect(first)
    try:
        await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
    url = make_url(first).set(database=DATABASE).render_as_string(hide_password=False)
    await asyncio.to_thread(migrate.upgrade, url)
    return url


async def _fill(
    testbed: Testbed, url: str, rounds: int, most_players: int, announce: Announce
) -> tuple[tuple[str, ...], Earlier]:
    """Load the earlier rounds. Returns tokens of players who have some."""
    keyring, began = Keyring.load(testbed.stack.settings.keyring), time.monotonic()
    database = await open_database(url, connections=2)
    try:
        await operators.ensure_operator(database.pool, operator_id=OPERATOR, name="Of the earlier rounds")
        vault = SeedVault(keyring)
        players, rounds_each = rounds_for(rounds, at_least=most_players)
        await load_earlier_rounds(
            database.pool,
            operator_id=OPERATOR,
            players=players,
            rounds_each=rounds_each,
            vault=vault,
            announce=announce,
        )
        earlier = Earlier(players * rounds_each, players, time.monotonic() - began)
        sessions = SessionService(
            database.pool, vault, TokenIssuer(keyring), lifetime_s=testbed.stack.settings.session_lifetime_s
        )
        chosen = player_ids(players)[:: players // most_players][:most_players]
        tokens = [await _token(sessions, player_id) for player_id in chosen]
        # What the load left to be written out would be written while the first blocks play.
        await database.pool.execute("CHECKPOINT", timeout=CHECKPOINT_LIMIT_S)
    finally:
        await database.close()
    return tuple(tokens), earlier


async def _token(sessions: SessionService, player_id: str) -> str:
    _, token = await sessions.open(
        operator_id=OPERATOR, player_id=player_id, game_id=GAME.id, currency=CURRENCY, client_seed=None
    )
    return token
