"""No query grows: what PostgreSQL reads for a round, or for a look at one, is the same after many rounds as
after few. Counted by the server itself, row by row, inside the ledger's functions too."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import pytest
from sqlalchemy import make_url

from bench.earlier import load_earlier_rounds, player_ids
from storage import (
    audit,
    feed,
    game_figures,
    incidents,
    interventions,
    now,
    open_rounds,
    operators,
    outbox,
    pending,
    players,
    reconciliation,
    rounds,
    sessions,
    settling,
    statement,
    statistics,
    stuck,
    timeline,
    transactions,
    webhook_views,
    webhooks,
)
from storage.database import Database, open_database
from tests.conftest import Services
from tests.integration.books import MIDDLE_EVENT, OPERATIONS, OPERATOR, Books, Operation
from tests.support.databases import migrated_database
from tests.support.ledger import take_seat

# Players and rounds of each: at the operator whose first player is measured, and later at another one.
FEW: Final = ((3, 50), (5, 10))
MANY: Final = ((25, 200), (600, 25))
OTHER: Final = "other"
# the ends of an index. A walk over earlier rounds, be it of one player, reads far more.
ALLOWANCE: Final = 50
# What is added to by every round. On the others' few rows a scan may be the cheapest way.
GROWING: Final = {"rounds", "transfers", "postings", "outbox", "inbox"}


@pytest.fixture(scope="module")
async def few(services: Services) -> AsyncIterator[Books]:
    """With the plans of a large database, so that what is read can be compared row by row: where a table has
    but a few rows, to scan it would be the cheapest way."""
    async with _opened(services, FEW, settings="enable_seqscan = off") as books:
        yield books


@pytest.fixture(scope="module")
async def many(services: Services) -> AsyncIterator[Books]:
    async with _opened(services, MANY, settings="enable_seqscan = on") as books:
        yield books


@asynccontextmanager
async def _opened(
    services: Services, sizes: tuple[tuple[int, int], tuple[int, int]], *, settings: str
) -> AsyncIterator[Books]:
    """Each on a database of its own."""
    async with migrated_database(services) as url:
        name = make_url(url).database
        loading = await asyncpg.connect(url)
        await loading.execute(f'ALTER DATABASE "{name}" SET {settings}')
        for operator_id, (count, rounds_each) in zip((OPERATOR, OTHER), sizes, strict=True):
            await loading.execute(operators.ENSURE_OPERATOR, operator_id, "a test's")
            await load_earlier_rounds(
                loading, operator_id=operator_id, players=count, rounds_each=rounds_each
            )
        await loading.close()
        own = await open_database(url, connections=1)
        yield await _with_a_player(own)
        await own.close()


async def _with_a_player(database: Database) -> Books:
    seat = await take_seat(database, operator_id=OPERATOR, player_id=player_ids(1)[0])
    void = seat.bet()
    await seat.reserve(void)
    await seat.release(void)
    own = await database.pool.fetch(
        "SELECT id, round_id, event_id, win FROM rounds WHERE player_key = $1 ORDER BY id",
        seat.session.player_key,
    )
    won = next(row for row in own if row["win"] > 0)
    moved = await seat.transfers()
    entry = moved[len(moved) // 2]
    return Books(
        seat=seat,
        earlier=seat.bet(won["round_id"]),
        middle=own[len(own) // 2]["id"],
        position=entry["position"],
        moment=entry["created_at"],
        event_id=str(won["event_id"]),
        place=await database.pool.fetchval(MIDDLE_EVENT, OPERATOR),
    )


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
async def test_reads_no_more_after_many_rounds(operation: Operation, few: Books, many: Books) -> None:
    before, after = await few.work_of(operation), await many.work_of(operation)
    assert after.rows.total() <= before.rows.total() + ALLOWANCE, {"few": before.rows, "many": after.rows}
    assert not after.scanned & GROWING


# The health of a new installation is asked once at the start, and the first row answers it.
ONE_ROW: Final = {sessions.ANY_SEED}
STATEMENTS: Final = {
    f"{module.__name__}.{name}": value
    for module in (
        *(
            audit,
            feed,
            game_figures,
            incidents,
            interventions,
            now,
            open_rounds,
            operators,
            outbox,
            pending,
            players,
            reconciliation,
            rounds,
            sessions,
            settling,
            statement,
        ),
        *(statistics, stuck, timeline, transactions, webhook_views),
    )
    for name, value in vars(module).items()
    if re.match("[A-Z]", name) and isinstance(value, str) and " " in value and value not in ONE_ROW
} | {"storage.webhooks.LAGS": webhooks.LAGS, "storage.webhooks.NEWS": webhooks.NEWS}


@pytest.mark.parametrize("name", STATEMENTS)
async def test_no_statement_is_planned_as_a_scan_of_what_grows(name: str, many: Books) -> None:
    """The generic plan, whatever the arguments."""
    statement = STATEMENTS[name]
    parameters = len(set(re.findall(r"\$\d+", statement)))
    nulls = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
    async with many.database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE planned AS {statement}")
        try:
            plan = await connection.fetch(f"EXPLAIN EXECUTE planned{nulls}")
        finally:
            await connection.execute("DEALLOCATE planned")
    lines = [row["QUERY PLAN"] for row in plan]
    scanned = {found[1] for line in lines if (found := re.search(r"Seq Scan on (\w+)", line))}
    assert not scanned & GROWING, "\n".join(lines)
