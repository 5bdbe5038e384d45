"""Operators and their API keys."""

from typing import Final

import asyncpg

from contracts.views import ApiKeyView

ENSURE_OPERATOR: Final = "INSERT INTO operators (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING"
ADD_KEY: Final = "INSERT INTO api_keys (id, operator_id, secret_hash, scope) VALUES ($1, $2, $3, $4)"
FIND_KEY: Final = """
    SELECT id AS key_id, operator_id, secret_hash, scope FROM api_keys WHERE id = $1 AND revoked_at IS NULL
"""


async def ensure_operator(pool: asyncpg.Pool, *, operator_id: str, name: str) -> None:
    await pool.execute(ENSURE_OPERATOR, operator_id, name)


async def add_key(pool: asyncpg.Pool, key: ApiKeyView) -> None:
    await pool.execute(ADD_KEY, key.key_id, key.operator_id, key.secret_hash, key.scope)


async def find_key(pool: asyncpg.Pool, key_id: str) -> ApiKeyView | None:
    row = await pool.fetchrow(FIND_KEY, key_id)
    return None if row is None else ApiKeyView(**dict(row))
