"""Each invariant notices what it is for, and nothing else does: a sound ledger is corrupted in one way at a
time, past every trigger, in a transaction that is rolled back."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from storage.database import Database
from tests.conftest import Services
from tests.integration.corruptions import CORRUPTIONS, Corruption
from tests.integration.sound_books import CURRENCY, populate
from tests.support.databases import own_database
from verification.findings import EXAMPLES
from verification.invariants.events import NO_INVENTED_EVENT
from verification.invariants.invariant import violations
from verification.invariants.table import INVARIANTS
from verification.ledger import audit, examine

OVERDUE_AFTER_S: Final = 1_800.0  # what the corruptions date back is older, and no machine is this slow


@pytest.fixture(scope="module")
async def ledger(services: Services) -> AsyncIterator[Database]:
    """A database of its own, with every kind of round in it and nothing wrong."""
    async with own_database(services, connections=2) as database:
        await populate(database.pool)
        yield database


async def test_a_sound_ledger_passes(ledger: Database) -> None:
    state = await audit(ledger, overdue_after_s=OVERDUE_AFTER_S)
    assert [finding for finding in state.findings if not finding.holds] == []
    assert state.sums == {CURRENCY: 0}
    assert state.open_holds == 2


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: f"{c.broken}: {c.what}")
async def test_a_corruption_is_named(ledger: Database, corruption: Corruption) -> None:
    async with ledger.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(corruption.sql)
            state = await examine(connection, overdue_after_s=OVERDUE_AFTER_S)
        finally:
            await transaction.rollback()
    broken = {finding.name: finding.examples for finding in state.findings if not finding.holds}
    assert list(broken) == [corruption.broken], broken
    assert broken[corruption.broken], "it gives an example"


def test_every_invariant_has_a_corruption() -> None:
    names = {invariant.name for invariant in INVARIANTS} | {"chains-hold"}
    assert {corruption.broken for corruption in CORRUPTIONS} == names


async def test_counts_all_and_shows_a_few(ledger: Database) -> None:
    async with ledger.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO inbox (consumer, event_id) "
            "SELECT 'statistics', gen_random_uuid() FROM generate_series(1, 50)"
        )
        found = await violations(connection, NO_INVENTED_EVENT, overdue_after_s=0)
        await connection.execute("DELETE FROM inbox WHERE event_id NOT IN (SELECT event_id FROM outbox)")
    assert found.count == 50
    assert len(found.examples) == EXAMPLES
