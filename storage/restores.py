"""A ledger that was restored: what it says of itself, its epochs, and the rounds that it has lost."""

# ruff: noqa: S608 - the statements are put together from numbered arguments

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import asyncpg

from contracts.rounds import Bet, RoundKey
from contracts.views import RoundView
from storage.bets import bet_arguments, bet_parameter, stored_bet
from storage.database import LEDGER_STATE
from storage.rounds import round_view
from storage.seeds import NewSeed

LAST: Final = (
    "SELECT number, gap, restored_to, noticed_at, opened_at FROM ledger_epochs ORDER BY number DESC LIMIT 1"
)
SUSPECT: Final = "SELECT suspect_ledger_v1()"
BEGIN: Final = "SELECT number, gap, restored_to, noticed_at, opened_at FROM begin_epoch_v1($1)"
OPEN: Final = "SELECT open_epoch_v1($1)"
# Whoever is connected as a role of ours: a connection from before the restore was noticed must not go on.
DISCONNECT: Final = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
      AND pg_has_role(current_user, usename, 'MEMBER')
"""
UNKNOWN: Final = """
    SELECT asked.player_key, asked.round_id
    FROM unnest($1::bigint[], $2::text[]) AS asked (player_key, round_id)
    WHERE NOT EXISTS (SELECT FROM rounds r
                      WHERE r.round_id = asked.round_id AND r.player_key = asked.player_key)
"""
OURS: Final = "SELECT EXISTS (SELECT FROM players WHERE (id, operator_id, player_id) = ($1, $2, $3))"
OPEN_ROUNDS: Final = """
    SELECT * FROM round_view WHERE state IN ('pending', 'awaiting_choice', 'settling') AND id > $1
    ORDER BY id LIMIT 500
"""
BEGUN_BETS: Final = """
    SELECT b.bet FROM wallet_bets b
    WHERE b.resolved_at IS NULL AND b.bet IS NOT NULL
      AND NOT EXISTS (SELECT FROM rounds r WHERE r.player_key = b.player_key AND r.round_id = b.round_id)
"""
RECORD: Final = f"SELECT record_lost_round_v1({bet_parameter(6)}, $1, $2, $3, $4, $5)"
GIVE_UP: Final = f"SELECT give_up_round_v1({bet_parameter(3)}, $1, $2)"
BEGIN_RELEASE: Final = f"SELECT begin_lost_release_v1({bet_parameter(4)}, $1, $2, $3)"
PLAY_BACK: Final = f"SELECT * FROM play_back_round_v1({bet_parameter(5)}, $1, $2, $3, $4)"
REPLACE_SEED: Final = "SELECT replace_retired_seed_v1($1, $2, $3, $4, $5)"
WAS_LOST: Final = "SELECT EXISTS (SELECT FROM incidents WHERE kind = 'lost-round' AND subject = $1)"
BEING_SETTLED: Final = """
    SELECT EXISTS (SELECT FROM incidents WHERE kind = 'lost-round' AND subject = $1 AND resolved_at IS NULL)
"""
# The name by which the database's trigger refuses a draw.
SEED_IS_RETIRED: Final = "seed_is_retired"


class LedgerState(StrEnum):
    """Whether the ledger may be played on."""

    OPEN = "open"
    RESTORED = "restored"
    """It was put back to an earlier moment, or has moved to another server."""
    RECOVERING = "recovering"


class Lost(StrEnum):
    """What became of a round that the restore has lost."""

    KNOWN = "known"
    VOID = "void"
    AT_WALLET = "at-wallet"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """`gap` is how far every sequence skipped ahead; `restored_to` is None for the first epoch."""

    number: int
    gap: int
    restored_to: datetime | None
    noticed_at: datetime
    opened_at: datetime | None


async def state(pool: asyncpg.Pool) -> LedgerState:
    return LedgerState(await pool.fetchval(LEDGER_STATE))


async def last(pool: asyncpg.Pool) -> Epoch:
    return Epoch(**await pool.fetchrow(LAST))


async def suspect(pool: asyncpg.Pool) -> None:
    """Closes a ledger that can be told from outside to be of an earlier moment. A repeat does nothing."""
    await pool.execute(SUSPECT)


async def begin(pool: asyncpg.Pool, *, known: int) -> Epoch:
    """Ends every other connection of our role, and begins an epoch above `known`, or finds the one that was
    begun. It touches every player and every session that has not ended, and takes as long as that takes."""
    await pool.execute(DISCONNECT)
    return Epoch(**await pool.fetchrow(BEGIN, known, timeout=None))


async def open_(pool: asyncpg.Pool, epoch: Epoch) -> None:
    """Lets rounds be played."""
    await pool.execute(OPEN, epoch.number)


async def unknown(pool: asyncpg.Pool, keys: Sequence[RoundKey]) -> list[RoundKey]:
    """Those of the rounds that are not in the ledger."""
    rows = await pool.fetch(UNKNOWN, [key.player_key for key in keys], [key.round_id for key in keys])
    missing = {(row["player_key"], row["round_id"]) for row in rows}
    return [key for key in keys if (key.player_key, key.round_id) in missing]


async def is_ours(pool: asyncpg.Pool, bet: Bet) -> bool:
    """Whether the bet is of a player that this ledger knows by the same key."""
    found: bool = await pool.fetchval(OURS, bet.key.player_key, bet.key.operator_id, bet.player_id)
    return found


async def open_rounds(pool: asyncpg.Pool) -> list[RoundView]:
    """Every round that holds a stake."""
    found: list[RoundView] = []
    after = 0
    while page := await pool.fetch(OPEN_ROUNDS, after):
        found += [round_view(row) for row in page]
        after = page[-1]["id"]
    return found


async def begun_bets(pool: asyncpg.Pool) -> list[Bet]:
    """Every bet that an operator's wallet was asked for and that has no round."""
    return [stored_bet(row["bet"]) for row in await pool.fetch(BEGUN_BETS)]


async def record(pool: asyncpg.Pool, bet: Bet, *, why: str, spare: NewSeed) -> Lost:
    """Records a round that only its workflow knows. `spare` is the seed of a session that is lost too."""
    arguments = (bet.demo, why, spare.seed_id, spare.sealed_server_seed, spare.server_seed_hash)
    return Lost(await pool.fetchval(RECORD, *arguments, *bet_arguments(bet)))


async def give_up(pool: asyncpg.Pool, bet: Bet, *, why: str, actions: Sequence[dict[str, Any]]) -> Lost:
    """Gives up an open round that went on in its workflow."""
    return Lost(await pool.fetchval(GIVE_UP, why, list(actions), *bet_arguments(bet)))


async def begin_release(
    pool: asyncpg.Pool, bet: Bet, bet_id: str, *, why: str, actions: Sequence[dict[str, Any]]
) -> bool:
    """Before a lost bet is rolled back at its wallet. False while another one is open at the game."""
    arguments = (bet_id, why, list(actions))
    begun: bool = await pool.fetchval(BEGIN_RELEASE, *arguments, *bet_arguments(bet))
    return begun


async def play_back(
    pool: asyncpg.Pool, bet: Bet, bet_id: str, *, why: str, win: int, actions: Sequence[dict[str, Any]]
) -> RoundView | None:
    """Books what the wallet took and paid. None while another round is open at the game."""
    arguments = (bet_id, why, win, list(actions))
    row = await pool.fetchrow(PLAY_BACK, *arguments, *bet_arguments(bet))
    return None if row is None else round_view(row)


async def replace_seed(pool: asyncpg.Pool, *, player_key: int, session_id: str, new: NewSeed) -> None:
    """Gives the session its next seed, if the one it has is retired."""
    await pool.execute(
        REPLACE_SEED, player_key, session_id, new.seed_id, new.sealed_server_seed, new.server_seed_hash
    )


async def is_being_settled(pool: asyncpg.Pool, key: RoundKey) -> bool:
    """Whether the round is a lost one that has not come to its end."""
    found: bool = await pool.fetchval(BEING_SETTLED, key.workflow_id)
    return found


async def was_lost(pool: asyncpg.Pool, key: RoundKey) -> bool:
    """Whether the round was lost with a restore, whatever became of it since."""
    found: bool = await pool.fetchval(WAS_LOST, key.workflow_id)
    return found
