"""Opening, finding, prolonging and ending game sessions; players and accounts are made by their first one."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import asyncpg

from contracts.views import SessionView

# One statement each, so that two first sessions of a player at once meet at the unique keys, not in a race.
ENSURE_PLAYER: Final = """
    WITH made AS (
        -- A player who is blocked with real money is blocked with demo money, and the other way round.
        INSERT INTO players (operator_id, player_id, demo, blocked)
        SELECT $1::varchar, $2::varchar, $3::boolean, coalesce(bool_or(p.blocked), false)
        FROM players p WHERE p.operator_id = $1 AND p.player_id = $2
        ON CONFLICT (operator_id, player_id, demo) DO NOTHING RETURNING id
    )
    SELECT id FROM made
    UNION ALL SELECT id FROM players WHERE operator_id = $1 AND player_id = $2 AND demo = $3 LIMIT 1
"""
ENSURE_SHARED_ACCOUNTS: Final = """
    INSERT INTO accounts (operator_id, kind, currency) VALUES ($1, 'house', $2), ($1, 'cash', $2)
    ON CONFLICT (operator_id, kind, currency) WHERE player_key IS NULL DO NOTHING
"""
ENSURE_PLAY_ACCOUNT: Final = """
    INSERT INTO accounts (operator_id, kind, currency) VALUES ($1, 'play', $2)
    ON CONFLICT (operator_id, kind, currency) WHERE player_key IS NULL DO NOTHING
"""
GRANT_DEMO_MONEY: Final = "SELECT give_play_money_v1($1, $2, $3, $4, $5, $6)"
ENSURE_ACCOUNT: Final = """
    WITH made AS (
        INSERT INTO accounts (operator_id, kind, player_key, currency, balance)
        VALUES ($1, 'player', $2, $3, 0)
        ON CONFLICT (player_key, currency) DO NOTHING RETURNING id
    )
    SELECT id FROM made UNION ALL SELECT id FROM accounts WHERE player_key = $2 AND currency = $3 LIMIT 1
"""
OPEN: Final = """
    SELECT s.created_at, NOT EXISTS (SELECT FROM game_switches g WHERE g.operator_id = s.operator_id
                                     AND g.game_id = s.game_id AND NOT g.enabled) AS enabled
    FROM open_session_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) s
"""
FIND: Final = """
    SELECT s.id AS session_id, s.operator_id, p.player_id, s.player_key, s.account_id, s.game_id, s.currency,
           s.mode, d.server_seed_hash, d.client_seed, d.next_nonce, s.expires_at, s.ended_at, s.created_at,
           s.jurisdiction, s.limits, s.lost, s.brand,
           NOT EXISTS (SELECT FROM game_switches g WHERE g.operator_id = s.operator_id
                       AND g.game_id = s.game_id AND NOT g.enabled) AS enabled
    FROM sessions s JOIN players p ON p.id = s.player_key JOIN seeds d ON d.id = s.seed_id
    WHERE s.id = $1 AND s.operator_id = $2
"""
PROLONG: Final = "SELECT prolong_session_v1($1, $2, $3)"
END: Final = "SELECT end_session_v1($1, $2)"
# As the database's function rounds_in_the_way has it: what the next bet of the game is refused for.
OPEN_ROUND: Final = """
    SELECT round_id FROM rounds WHERE player_key = $1 AND game_id = $2 AND is_open(state)
    UNION ALL
    SELECT round_id FROM wallet_bets WHERE player_key = $1 AND game_id = $2 AND resolved_at IS NULL
    LIMIT 1
"""
OF_PLAYER: Final = """
    SELECT id AS session_id, game_id, currency, created_at, expires_at, ended_at, jurisdiction, limits, lost,
           brand, ended_at IS NULL AND expires_at > clock_timestamp() AS open
    FROM sessions WHERE player_key = $1 ORDER BY created_at DESC, id LIMIT $2
"""
ANY_SEED: Final = "SELECT EXISTS (SELECT 1 FROM seeds)"


async def ensure_account(
    pool: asyncpg.Pool, *, operator_id: str, player_id: str, currency: str, demo: bool = False
) -> tuple[int, int]:
    """Returns the keys of the player and of the player's account in `currency`, and makes them when they are
    missing. With demo money it is another player and another account."""
    player_key = await _ensured(pool, ENSURE_PLAYER, operator_id, player_id, demo)
    account_id = await _ensured(pool, ENSURE_ACCOUNT, operator_id, player_key, currency)
    await pool.execute(ENSURE_PLAY_ACCOUNT if demo else ENSURE_SHARED_ACCOUNTS, operator_id, currency)
    return player_key, account_id


async def grant_demo_money(pool: asyncpg.Pool, session: SessionView, *, amount: int) -> None:
    """Fills the account of a demo session up to `amount` minor units, once for each session."""
    await pool.execute(
        GRANT_DEMO_MONEY,
        session.operator_id,
        session.player_key,
        session.account_id,
        session.session_id,
        amount,
        session.currency,
    )


async def _ensured(pool: asyncpg.Pool, statement: str, *arguments: object) -> int:
    """Runs an insert-or-select. It sees neither its own loss of a race nor the winner's row, which is
    younger than its snapshot; the second time it does."""
    key = await pool.fetchval(statement, *arguments)
    if key is None:
        key = await pool.fetchval(statement, *arguments)
    assert isinstance(key, int)
    return key


class OperatorDisabled(Exception):
    """The operator opens no session."""


async def open_session(
    pool: asyncpg.Pool, session: SessionView, *, seed_id: str, sealed_server_seed: str
) -> SessionView:
    """Stores a new session with its first seed pair, and records that it was opened. Raises
    OperatorDisabled."""
    try:
        stored = await _opened(pool, session, seed_id, sealed_server_seed)
    except asyncpg.ObjectNotInPrerequisiteStateError:
        raise OperatorDisabled from None
    return replace(session, **dict(stored))


async def _opened(
    pool: asyncpg.Pool, session: SessionView, seed_id: str, sealed_server_seed: str
) -> asyncpg.Record:
    return await pool.fetchrow(
        OPEN,
        session.session_id,
        session.operator_id,
        session.player_key,
        session.account_id,
        session.game_id,
        session.currency,
        session.mode,
        seed_id,
        sealed_server_seed,
        session.server_seed_hash,
        session.client_seed,
        session.expires_at,
        session.jurisdiction,
        session.limits,
        session.brand,
    )


async def find_session(pool: asyncpg.Pool, *, session_id: str, operator_id: str) -> SessionView | None:
    row = await pool.fetchrow(FIND, session_id, operator_id)
    return None if row is None else SessionView(**dict(row))


async def prolong_session(
    pool: asyncpg.Pool, *, session_id: str, operator_id: str, until: datetime
) -> datetime | None:
    """When the session's token shall expire: at `until`, or later if it would have anyway. None when it has
    ended."""
    expires_at: datetime | None = await pool.fetchval(PROLONG, session_id, operator_id, until)
    return expires_at


async def end_session(pool: asyncpg.Pool, *, session_id: str, operator_id: str) -> bool:
    """Whether there is such a session. The first end is recorded; ending it twice changes nothing."""
    found: bool = await pool.fetchval(END, session_id, operator_id)
    return found


async def open_round(pool: asyncpg.Pool, *, player_key: int, game_id: str) -> str | None:
    """The id of the player's open round of the game, if there is one, also while an operator's wallet has not
    answered for its stake."""
    round_id: str | None = await pool.fetchval(OPEN_ROUND, player_key, game_id)
    return round_id


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacts:
    """A session as whoever looks sees it. `limits` are contracts.limits as JSON, `lost` is counted where
    there is a loss limit, and `open` says whether it may still bet."""

    session_id: str
    game_id: str
    currency: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    jurisdiction: str | None
    limits: dict[str, Any] | None
    lost: int
    brand: str | None
    open: bool


async def of_player(pool: asyncpg.Pool, player_key: int, *, limit: int) -> list[SessionFacts]:
    """The player's newest ones."""
    return [SessionFacts(**dict(row)) for row in await pool.fetch(OF_PLAYER, player_key, limit)]


async def any_seed(pool: asyncpg.Pool) -> bool:
    """Whether any seed was ever sealed here."""
    found: bool = await pool.fetchval(ANY_SEED)
    return found
