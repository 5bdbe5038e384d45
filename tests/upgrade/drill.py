"""A casino that is upgraded while it plays: programs of several releases on one database, broker and
Temporal, and players who notice nothing."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx
from sqlalchemy import make_url
from temporalio.client import Client

from compose import probes, process
from compose.process import Command, Process
from compose.service import wait_until_ready
from compose.stack import Stack
from runtime.temporal import connect
from security.keyring import Keyring
from storage.database import Database, open_database
from tests.e2e.choices import act, open_round
from tests.e2e.parties import Gateway, Operator, Player
from tests.support.conditions import HANG_S, until
from tests.upgrade.entrances import Entrance, Entrances
from tests.upgrade.trees import Tree
from verification.ledger import audit

PLAYERS: Final = 4
# Players who bet without a pause would take the machine from the programs that start.
THINKS_S: Final = 0.2
BALANCE: Final = 10_000_000
# For what hangs. A busy machine may need a minute to start two programs beside all that runs already.
LIMIT_S: Final = 300.0
LOOK_EVERY_S: Final = 0.05
# Rounds that are answered while a migration waits.
ROUNDS_MEANWHILE: Final = 10
# Bets that wait for a lock which a migration holds, or waits for itself, and for how long by now.
BEHIND_THE_MIGRATION: Final = """
    SELECT extract(epoch FROM clock_timestamp() - l.waitstart)::float8 AS waited_s
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND a.datname = current_database() AND a.usename = 'croupier_app'
      AND EXISTS (SELECT FROM pg_stat_activity m
                  WHERE m.pid = ANY(pg_blocking_pids(l.pid)) AND m.application_name = 'croupier migrate')
"""

# The end of a round is published by its workflow; the relay, which publishes all else, is not needed here.
UNPUBLISHED: Final = """
    SELECT count(*) FROM outbox WHERE published_at IS NULL AND type IN ('round.settled', 'round.void')
"""
# What programs see to that do not run here: the relay and the statistics.
OF_OTHERS: Final = ("events-published", "events-applied", "statistics-are-rounds")


@dataclass
class Program:
    """One ingress of a release, behind the entrances."""

    tree: Tree
    running: Process
    entrance: Entrance


@dataclass
class Drill:
    """The casino. `lines` is its table: what was done, and what players had seen by then."""

    stack: Stack
    url: str
    database: Database
    temporal: Client
    entrances: Entrances
    operator: Operator
    task_queue: str
    programs: list[Program] = field(default_factory=list)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    players: list[Player] = field(default_factory=list)
    waiting: list[tuple[Player, str]] = field(default_factory=list)
    longest_wait_s: float = 0.0
    lines: list[str] = field(default_factory=list)

    # Programs

    async def start(self, tree: Tree, *, count: int = 1) -> list[Program]:
        """Ingresses of this release, at once."""
        started = await asyncio.gather(*(self._start(tree) for _ in range(count)))
        self.note(f"{count} x {tree.name} started")
        return started

    async def _start(self, tree: Tree) -> Program:
        name = f"{tree.name}-{uuid4().hex[:6]}"
        port, metrics_port = self.stack.port(name), self.stack.port(f"{name}-metrics")
        ports = {"CROUPIER_HTTP_PORT": str(port), "CROUPIER_METRICS_PORT": str(metrics_port)}
        variables = {**self.environment(tree), **ports, "CROUPIER_DATABASE_URL": self.application_url}
        running = await process.start(
            self._command(tree, name, "workers.serve", variables), self.stack.layout
        )
        base_url = f"http://127.0.0.1:{port}"
        try:
            await wait_until_ready(name, lambda: probes.http(f"{base_url}/readyz"), limit_seconds=LIMIT_S)
        except BaseException:
            await running.stop()
            raise
        program = Program(tree, running, self.entrances.add(base_url, tree.name))
        self.programs.append(program)
        return program

    async def end(self, program: Program) -> None:
        """As a balancer does it: no further requests, then SIGTERM."""
        await self.entrances.leave(program.entrance)
        self.programs.remove(program)
        await program.running.stop()
        self.note(f"1 x {program.tree.name} ended, after {program.entrance.answered:,} answers")

    def environment(self, tree: Tree) -> dict[str, str]:
        """Of the owner of the tables; the tree's own modules come first."""
        own = {"CROUPIER_DATABASE_URL": self.url, "CROUPIER_TASK_QUEUE": self.task_queue}
        return {**self.stack.environment(), **own, "PYTHONPATH": str(tree.root), "PYTHONUNBUFFERED": "1"}

    @property
    def application_url(self) -> str:
        address = make_url(self.stack.addresses.application_database_url)
        return address.set(database=make_url(self.url).database).render_as_string(hide_password=False)

    def _command(self, tree: Tree, name: str, module: str, variables: dict[str, str]) -> Command:
        return Command(
            name=name,
            argv=(sys.executable, "-m", module),
            environment={**os.environ, **variables},
            folder=tree.root,
            stop_seconds=30.0,
        )

    # What an SRE types

    async def migrate(self, tree: Tree, half: str) -> None:
        code, said = await self.run(tree, "cli", "migrate", half)
        assert code == 0, said
        self.note(f"{tree.name}: migrate {half}")

    async def migrate_beside_a_reader(self, tree: Tree) -> int:
        """The first half, while a transaction that has read rounds stays open: until it is done, or has
        waited for that reader twice and players were answered meanwhile. Returns how often it waited."""
        reader = await asyncpg.connect(self.url)
        try:
            await reader.execute("BEGIN")
            await reader.fetch("SELECT id FROM rounds LIMIT 1")
            running = await self.begin(tree, "cli", "migrate", "--before")
            waits = await self._until_done_or_held_up(running, f"waits for pid {reader.get_server_pid()} ")
            if waits:
                await self.more_rounds(ROUNDS_MEANWHILE)
                assert running.returncode is None, "the reader is still there"
            await reader.execute("COMMIT")
            _, errors = await asyncio.wait_for(running.communicate(), LIMIT_S)
            assert running.returncode == 0, errors.decode()
        finally:
            await reader.close()
        self.note(f"{tree.name}: migrate --before, held up {waits} times")
        return waits

    async def _until_done_or_held_up(self, running: asyncio.subprocess.Process, how: str) -> int:
        """How often it said so, at most twice."""
        assert running.stderr is not None
        said, waits = [], 0
        async with asyncio.timeout(LIMIT_S):
            while waits < 2 and (line := (await running.stderr.readline()).decode()):
                said.append(line)
                waits += how in line
        assert waits or await running.wait() == 0, "".join(said)
        return waits

    async def replay(self, tree: Tree) -> dict[str, Any]:
        """What all open workflows and the last closed ones come to with that release's code."""
        code, said = await self.run(tree, "cli", "replay", "--live", "100", "--json")
        assert code == 0, said
        found: dict[str, Any] = json.loads(said)
        self.note(f"{tree.name}: replay --live: {found['open']} open, {found['closed']} closed")
        return found

    async def run(self, tree: Tree, module: str, *arguments: str) -> tuple[int, str]:
        """Its exit code, and what it printed."""
        running = await self.begin(tree, module, *arguments)
        output, errors = await asyncio.wait_for(running.communicate(), LIMIT_S)
        assert running.returncode is not None
        return running.returncode, output.decode() + ("" if running.returncode == 0 else errors.decode())

    async def begin(self, tree: Tree, module: str, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            env={**os.environ, **self.environment(tree)},
            cwd=tree.root,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    # Players

    async def seat(self) -> None:
        for _ in range(PLAYERS):
            self.players.append(await self.operator.open_session(balance=BALANCE))

    async def leave_open(self, count: int) -> None:
        """Rounds that wait for their players' choice."""
        for _ in range(count):
            player = await self.operator.open_session(balance=BALANCE, game_id="lucky-fruits")
            round_ = await open_round(player)
            self.waiting.append((player, round_["round_id"]))

    async def choose(self, count: int) -> None:
        """Some of these players choose, wherever their requests go."""
        for _ in range(count):
            player, round_id = self.waiting.pop(0)
            answer = await act(player, round_id, "collect")
            assert answer.status_code == 200, answer.text
            assert answer.json()["state"] == "settled"
            self.answers[round_id] = answer.json()

    async def more_rounds(self, count: int) -> None:
        """Returns when so many further rounds are answered."""
        wanted = len(self.answers) + count

        async def answered() -> bool:
            return len(self.answers) >= wanted

        await until(answered, within_s=LIMIT_S + count)  # a second for each, and more

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """All players bet inside the block, and somebody looks at whom a migration holds up."""
        stop = asyncio.Event()
        tasks = [asyncio.create_task(self._play(player, stop)) for player in self.players]
        tasks.append(asyncio.create_task(self._look_for_waits(stop)))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(asyncio.gather(*tasks), LIMIT_S)

    async def _play(self, player: Player, stop: asyncio.Event) -> None:
        while not stop.is_set():
            round_id = uuid4().hex
            self.answers[round_id] = await _played(player, round_id)
            await asyncio.sleep(THINKS_S)

    async def _look_for_waits(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for row in await self.database.pool.fetch(BEHIND_THE_MIGRATION):
                self.longest_wait_s = max(self.longest_wait_s, row["waited_s"] or 0.0)
            await asyncio.sleep(LOOK_EVERY_S)

    # What was seen

    async def assert_nothing_lost(self) -> None:
        """Nobody saw an error; every answered round is in the ledger as it was answered, and no other is;
        every workflow has come to its end, every event to the broker; and the books balance."""
        assert self.entrances.seen.broken == []
        assert self.waiting == []
        rows = await self.database.pool.fetch("SELECT round_id, state, win, outcome FROM rounds")
        answered = {
            round_id: (answer["state"], answer["win"]["amount"], answer["outcome"])
            for round_id, answer in self.answers.items()
        }
        assert {row["round_id"]: (row["state"], row["win"], row["outcome"]) for row in rows} == answered
        await until(self._all_completed, within_s=LIMIT_S)
        findings = (await audit(self.database)).findings
        broken = [finding for finding in findings if not finding.holds and finding.name not in OF_OTHERS]
        assert broken == []

    async def _all_completed(self) -> bool:
        query = f'TaskQueue = "{self.task_queue}" AND ExecutionStatus = "Completed"'
        unpublished = await self.database.pool.fetchval(UNPUBLISHED)
        completed = (await self.temporal.count_workflows(query)).count
        return completed == len(self.answers) and unpublished == 0

    def note(self, what: str) -> None:
        seen = self.entrances.seen
        self.lines.append(
            f"{what:<48} {len(self.answers):>6,} rounds  {seen.statuses[202]:>3} pending"
            f"  {len(seen.broken):>2} broken  longest answer {seen.longest_s:.2f} s"
        )

    def table(self) -> str:
        return "\n".join(self.lines)


async def _played(player: Player, round_id: str) -> dict[str, Any]:
    """The round of a bet, which is repeated for as long as it is pending."""

    async def round_() -> Any:
        answer = await player.bet(round_id)
        assert answer.status_code in (200, 201, 202), answer.text
        return None if answer.status_code == 202 else answer.json()

    found: dict[str, Any] = await until(round_)
    return found


@asynccontextmanager
async def drill(stack: Stack, first: Tree) -> AsyncIterator[Drill]:
    """A casino on a database and a task queue of its own, provisioned by `first`. What it started ends with
    the block."""
    name = f"drill_{uuid4().hex[:8]}"
    async with AsyncExitStack() as closing:
        server = await open_database(stack.addresses.database_url, connections=1)
        closing.push_async_callback(server.close)
        await server.pool.execute(f"CREATE DATABASE {name}")
        url = make_url(stack.addresses.database_url).set(database=name).render_as_string(hide_password=False)
        environment = {**stack.environment(), "CROUPIER_DATABASE_URL": url, "PYTHONPATH": str(first.root)}
        provisioned = await _provision(first, environment)
        database = await open_database(url, connections=3)
        closing.push_async_callback(database.close)
        keyring = Keyring.load(stack.settings.keyring)
        temporal = await connect(
            stack.addresses.temporal_address, namespace=stack.addresses.temporal_namespace, keyring=keyring
        )
        entrances = Entrances()
        http = await closing.enter_async_context(
            httpx.AsyncClient(base_url="http://casino", timeout=HANG_S, transport=entrances)
        )
        gateway = Gateway(http, database, temporal, keyring, secrets=[])
        operator = Operator(gateway, provisioned["operator_id"], provisioned["operator_key"])
        made = Drill(stack, url, database, temporal, entrances, operator, task_queue=name)
        try:
            yield made
        finally:
            await asyncio.gather(*(program.running.stop() for program in made.programs))


async def _provision(tree: Tree, environment: dict[str, str]) -> dict[str, str]:
    """The operator that the release makes, with its key."""
    job = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "compose.provision"),
        env={**os.environ, **environment},
        cwd=tree.root,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(job.communicate(), LIMIT_S)
    assert job.returncode == 0, errors.decode()
    operator: dict[str, str] = json.loads(output)
    return operator
