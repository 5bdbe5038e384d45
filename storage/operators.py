"""Operators and their API keys."""

from datetime import datetime
from typing import Final, Literal

import asyncpg

from contracts.views import ApiKeyRecord, ApiKeyView

# Far above what an operator with keys for each of its servers has, and a list of them is still one page.
KEYS_LIMIT: Final = 100
# How long keys that open nothing any more are still listed.
LISTED_LIMIT: Final = 200

ENSURE_OPERATOR: Final = "INSERT INTO operators (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING"
ADD_KEY: Final = "SELECT add_api_key_v1($1, $2, $3, $4, $5, $6)"
ROTATE_KEY: Final = "SELECT scope, old_expires_at FROM rotate_api_key_v1($1, $2, $3, $4, $5)"
REVOKE_KEY: Final = "SELECT revoke_api_key_v1($1, $2)"
FIND_KEY: Final = """
    SELECT id AS key_id, operator_id, secret_hash, scope, expires_at FROM api_keys
    WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
"""
LIST_KEYS: Final = """
    SELECT id AS key_id, scope, created_at, expires_at, revoked_at,
           revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp()) AS active
    FROM api_keys WHERE operator_id = $1
    ORDER BY active DESC, created_at DESC, id LIMIT $2
"""

AddVerdict = Literal["added", "too-many", "no-operator"]


async def ensure_operator(pool: asyncpg.Pool, *, operator_id: str, name: str) -> None:
    await pool.execute(ENSURE_OPERATOR, operator_id, name)


async def add_key(pool: asyncpg.Pool, key: ApiKeyView) -> AddVerdict:
    verdict: AddVerdict = await pool.fetchval(
        ADD_KEY, key.operator_id, key.key_id, key.secret_hash, key.scope, key.expires_at, KEYS_LIMIT
    )
    return verdict


async def rotate_key(
    pool: asyncpg.Pool, *, operator_id: str, key_id: str, new_id: str, secret_hash: str, overlap_s: int
) -> tuple[str, datetime] | None:
    """Returns the scope of both keys and when the old one ends; None when the operator has no such key that
    still opens something."""
    row = await pool.fetchrow(ROTATE_KEY, operator_id, key_id, new_id, secret_hash, overlap_s)
    return None if row is None else (row["scope"], row["old_expires_at"])


async def revoke_key(pool: asyncpg.Pool, *, operator_id: str, key_id: str) -> bool:
    """Revokes a key. Returns whether the operator has it. A repeat changes nothing."""
    known: bool = await pool.fetchval(REVOKE_KEY, operator_id, key_id)
    return known


async def find_key(pool: asyncpg.Pool, key_id: str) -> ApiKeyView | None:
    """The key, if it opens anything now."""
    row = await pool.fetchrow(FIND_KEY, key_id)
    return None if row is None else ApiKeyView(**dict(row))


async def list_keys(pool: asyncpg.Pool, *, operator_id: str) -> list[ApiKeyRecord]:
    """The operator's keys: those that open something first, then newest first."""
    rows = await pool.fetch(LIST_KEYS, operator_id, LISTED_LIMIT)
    return [ApiKeyRecord(**dict(row)) for row in rows]
