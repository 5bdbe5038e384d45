"""PostgreSQL and the wallet go and come back under load, in good order and by kill -9, while the wallet
breaks one call in five besides."""

from collections.abc import Sequence

import pytest

from tests.faults.agreement import assert_all_agree, patient_rounds, until_at_rest
from tests.faults.casino import Casino
from tests.support.clients import Player, answered, assert_nothing_lost_or_doubled, playing, unhurried
from tests.support.conditions import until
from tests.support.http import http_client

PLAYERS = 6
# Answers between one fault and the next.
ROUNDS = 30
# So long they take only when nobody is answered any more, on the slowest machine.
WITHIN_S = 240
# The wallet's process was not there: no fault on demand looks like that.
MET_NOBODY = "SELECT count(*) FROM wallet_attempts WHERE code = 'not-reached'"
how = pytest.mark.parametrize("how", ["stopped", "killed"])


@how
async def test_postgres_restarted_under_load(casino: Casino, full: bool, how: str) -> None:
    at_ledger, at_wallet = await casino.seat_at_ledger(PLAYERS), await casino.seat_at_wallet(PLAYERS)
    players = [*at_ledger, *at_wallet]
    await casino.break_wallet(seed=11)
    async with playing(players):
        for _ in range(5 if full else 1):
            await _play_on(players)
            end = casino.stack.kill if how == "killed" else casino.stack.stop_one
            await end("postgres")
            with unhurried(players):
                await casino.stack.start("postgres")
        await _play_on(players)
        faults = await casino.wallet.faults()
        await casino.wallet.clear_faults()
    await until_at_rest(casino)
    assert faults["total"] > 0
    assert await patient_rounds(casino, at_ledger) > 0, "PostgreSQL went when nobody played"
    async with http_client() as client:
        await assert_nothing_lost_or_doubled(at_ledger, casino.database, casino.temporal, client)
    await assert_all_agree(casino, at_wallet)


@how
async def test_wallet_restarted_under_load(casino: Casino, full: bool, how: str) -> None:
    """Meanwhile the players of the other operator play on."""
    at_ledger, at_wallet = await casino.seat_at_ledger(PLAYERS), await casino.seat_at_wallet(PLAYERS)
    async with playing([*at_ledger, *at_wallet]):
        for seed in range(5 if full else 1):
            await casino.break_wallet(seed=seed)
            await _play_on(at_wallet)
            assert (await casino.wallet.faults())["total"] > 0
            before = await casino.database.pool.fetchval(MET_NOBODY)
            await (casino.wallet.kill() if how == "killed" else casino.wallet.stop())
            await until(lambda before=before: _met_nobody(casino, before))  # type: ignore[misc]
            await _play_on(at_ledger)
            with unhurried([*at_ledger, *at_wallet]):
                await casino.wallet.start()
        await _play_on(at_wallet)
    await until_at_rest(casino)
    async with http_client() as client:
        await assert_nothing_lost_or_doubled(at_ledger, casino.database, casino.temporal, client)
    await assert_all_agree(casino, at_wallet)


async def _play_on(players: Sequence[Player]) -> None:
    """Returns when they have been answered a while longer."""
    players = [*players]
    before = sum(len(player.answers) for player in players)
    await until(lambda: answered(players, before + ROUNDS), within_s=WITHIN_S)


async def _met_nobody(casino: Casino, before: int) -> bool:
    """Calls found no wallet since then."""
    now: int = await casino.database.pool.fetchval(MET_NOBODY)
    return now > before
