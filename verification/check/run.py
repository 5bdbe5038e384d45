"""`up --check`: plays real rounds through HTTP, then checks what must hold, from client to history."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
from temporalio.client import Client
from temporalio.service import RPCError

from contracts.failures import bounded, error_line
from events.broker import LinkLost
from games.registry import Registry
from runtime import settings
from runtime.services import load_keyring
from runtime.temporal import access, connect
from security.keyring import Keyring, KeyringInvalid
from security.seeds import SeedVault
from security.signatures import SignatureVerifier
from storage.database import Database, open_database
from verification import ledger
from verification.books import player_keys, under_way
from verification.check import agreement, histories, playing
from verification.check.agreement import Agreement
from verification.check.api_client import CasinoError, OperatorClient
from verification.check.histories import Histories
from verification.check.listening import EventLog, listening
from verification.check.playing import PlayLog
from verification.check.report import Report
from verification.findings import Finding, Tally
from verification.ledger import LedgerState
from verification.outcomes import Replayer

ARRIVAL_LIMIT_S: Final = 30.0  # for rounds, events and statistics that are still on their way
OVERDUE_AFTER_S: Final = 10.0  # after that wait, what is older than this is stuck
PAUSE_S: Final = 0.05
# What a service that is away raises. The check then says so instead of failing itself.
UNREACHABLE: Final = (
    CasinoError,
    LinkLost,
    KeyringInvalid,
    RPCError,
    OSError,
    RuntimeError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)

Stack = dict[str, Any]  # what stack.json holds
Advance = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Services:
    database: Database
    temporal: Client
    keyring: Keyring


@dataclass(slots=True)
class _Seen:
    """What was found so far; what is None could not be checked. `step` is under way."""

    step: str = "reading the keys"
    played: PlayLog | None = None
    seconds: float = 0.0
    log: EventLog | None = None
    ledger: LedgerState | None = None
    agreement: Agreement | None = None
    histories: Histories | None = None


async def check(stack: Stack, rounds: int, advance: Advance = lambda: None) -> Report:
    """Plays `rounds` rounds on the running `stack` and checks everything; `advance` is called after each
    round. Never raises for what it finds, nor for a service that is away: the report says it."""
    seen = _Seen()
    finished = Tally("check", "check-finished", "the check could look at everything")
    try:
        async with _open(stack, seen) as services:
            await _check_all(stack, rounds, services, seen, advance)
    except UNREACHABLE as error:
        finished.add(bounded(f"{seen.step}: {error_line(error)}"))
    return _report(seen, finished)


async def _check_all(stack: Stack, rounds: int, services: _Services, seen: _Seen, advance: Advance) -> None:
    name = secrets.token_hex(4)
    operator_id = stack["operator_id"]
    seen.step = "reaching RabbitMQ"
    verifier = SignatureVerifier(services.keyring.events.public_keys())
    async with listening(stack["amqp_url"], operator_id, f"check-{name}-", verifier) as log:
        seen.log, seen.step = log, "playing rounds through HTTP"
        began_at, began = datetime.now(UTC), time.perf_counter()
        async with OperatorClient(stack["base_url"], stack["operator_key"]) as operator:
            seen.played = played = await playing.play(operator, name, rounds, advance)
        seen.step = "comparing clients, ledger and events"
        seen.seconds = time.perf_counter() - began
        pool = services.database.pool
        keys = await player_keys(pool, operator_id=operator_id, player_ids=played.player_ids)
        await _until_arrived(services.database, keys, began_at, log, len(played.answers))
        seen.agreement = await _compare(services, keys, played, log)
    seen.step = "checking the whole ledger"
    seen.ledger = await ledger.audit(services.database, overdue_after_s=OVERDUE_AFTER_S)
    seen.step = "reading workflows and histories from Temporal"
    plaintext = {*seen.agreement.secrets, f"check-{name}".encode()}
    seen.histories = await histories.examine(
        services.temporal, operator_id, keys, seen.agreement.workflow_ids, plaintext
    )


@asynccontextmanager
async def _open(stack: Stack, seen: _Seen) -> AsyncIterator[_Services]:
    loaded = settings.load()
    keyring = load_keyring(loaded.model_copy(update={"keyring": Path(stack["keyring"])}))
    seen.step = "reaching PostgreSQL"
    database = await open_database(stack["database_url"], connections=2)
    try:
        seen.step = "reaching Temporal"
        temporal = await connect(
            stack["temporal_address"],
            namespace=stack["temporal_namespace"],
            keyring=keyring,
            access=access(loaded),
        )
        yield _Services(database, temporal, keyring)
    finally:
        await database.close()


async def _until_arrived(
    database: Database, keys: Sequence[int], began_at: datetime, log: EventLog, events: int
) -> None:
    """Waits until the run's rounds are closed, its events published, applied by the statistics and heard
    here, and what an earlier crash left behind is finished; not for ever: what is missing is a finding."""
    deadline = time.monotonic() + ARRIVAL_LIMIT_S
    while time.monotonic() < deadline:
        waiting = await under_way(database.pool, player_keys=keys, began_before=began_at)
        if waiting == 0 and len(log.events) >= events:
            return
        await asyncio.sleep(PAUSE_S)


async def _compare(services: _Services, keys: Sequence[int], played: PlayLog, log: EventLog) -> Agreement:
    replayer = Replayer(Registry.load(), SeedVault(services.keyring))
    async with (
        services.database.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        return await agreement.compare(connection, keys, played, log, replayer)


def _report(seen: _Seen, finished: Tally) -> Report:
    played, found = seen.played or PlayLog(), seen.agreement or Agreement()
    log, workflows = seen.log, seen.histories or Histories()
    return Report(
        rounds=sum(sums.rounds for sums in found.sums.values()),
        players=len(played.player_ids),
        seconds=seen.seconds,
        repeated=played.repeated,
        refused=played.refused,
        p50_ms=played.percentile_ms(50),
        p99_ms=played.percentile_ms(99),
        sums=found.sums,
        ledger_sums=seen.ledger.sums if seen.ledger else {},
        open_holds=seen.ledger.open_holds if seen.ledger else None,
        events_expected=found.events_expected,
        events_seen_once=found.events_matched,
        events_redelivered=log.redelivered if log else 0,
        events_out_of_order=log.out_of_order if log else 0,
        workflows=workflows.seen,
        workflows_failed=workflows.failed if seen.histories else None,
        fast_rounds=workflows.fast,
        outcomes_replayed=found.replayed,
        findings=tuple(_findings(seen, finished)),
    )


def _findings(seen: _Seen, finished: Tally) -> Iterator[Finding]:
    """Only of what was checked: an unchecked invariant gets no tick."""
    yield finished.finding()
    for part in (seen.played, seen.agreement, seen.log if seen.played else None, seen.histories):
        if part is not None:
            yield from (tally.finding() for tally in part.tallies())
    if seen.ledger is not None:
        yield from seen.ledger.findings
