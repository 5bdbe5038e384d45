"""Operators, their API keys, and those of the platform: `operator_id` is None for the latter."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import asyncpg

from contracts.audit import By, Kind
from contracts.views import ApiKeyRecord, ApiKeyView, OperatorRecord
from storage.audit import entry, recording

# Far above what an operator with keys for each of its servers has, and a list of them is still one page.
KEYS_LIMIT: Final = 100
# How long keys that open nothing any more are still listed.
LISTED_LIMIT: Final = 200

ENSURE_OPERATOR: Final = "INSERT INTO operators (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING"
ADD_KEY: Final = recording(
    "SELECT add_api_key_v3($1, $2, $3, $4, $5, $6, $7, $8) AS verdict",
    parameters=8,
    when="verdict = 'added'",
)
ROTATE_KEY: Final = recording("SELECT * FROM rotate_api_key_v2($1, $2, $3, $4, $5)", parameters=5)
REVOKE_KEY: Final = recording("SELECT revoke_api_key_v1($1, $2) AS known", parameters=2, when="known")
FIND_KEY: Final = """
    SELECT k.id AS key_id, coalesce(k.operator_id, '') AS operator_id, k.secret_hash, k.scope, k.expires_at,
           k.brand, o.disabled_at IS NOT NULL AS disabled
    FROM api_keys k LEFT JOIN operators o ON o.id = k.operator_id
    WHERE k.id = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
"""
# For whoever shows who has signed in: without what the key is compared with.
FIND_HOLDERS: Final = """
    SELECT k.id AS key_id, k.operator_id, o.name AS operator_name, k.scope, k.expires_at,
           o.disabled_at IS NOT NULL AS disabled
    FROM api_keys k JOIN operators o ON o.id = k.operator_id
    WHERE k.id = ANY ($1) AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
"""
LIST_KEYS: Final = """
    SELECT id AS key_id, name, scope, brand, created_at, expires_at, revoked_at,
           revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp()) AS active
    FROM api_keys WHERE operator_id IS NOT DISTINCT FROM $1
    ORDER BY active DESC, created_at DESC, id LIMIT $2
"""

ADD_OPERATOR: Final = "SELECT add_operator_v1($1, $2)"
SWITCH_OPERATOR: Final = "SELECT switch_operator_v1($1, $2)"
FIND_OPERATOR: Final = "SELECT id AS operator_id, name, created_at, disabled_at FROM operators WHERE id = $1"
LIST_OPERATORS: Final = """
    SELECT id AS operator_id, name, created_at, disabled_at FROM operators
    WHERE id > $1 ORDER BY id LIMIT $2
"""
OLDEST_OPERATORS: Final = "SELECT id FROM operators ORDER BY created_at, id LIMIT $1"
OPEN_SESSIONS: Final = "SELECT id FROM sessions_that_may_bet($1) AS id"

AddVerdict = Literal["added", "too-many", "no-operator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RotatedKey:
    """What both keys have in common, and when the old one ends."""

    scope: str
    brand: str | None
    old_expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder:
    """A key without its secret, and the operator that it belongs to. `disabled` is whether the operator
    is."""

    key_id: str
    operator_id: str
    operator_name: str
    scope: str
    expires_at: datetime | None
    disabled: bool


async def ensure_operator(pool: asyncpg.Pool, *, operator_id: str, name: str) -> None:
    await pool.execute(ENSURE_OPERATOR, operator_id, name)


async def oldest(pool: asyncpg.Pool, *, limit: int) -> list[str]:
    """The ids of the `limit` operators that have been here for longest."""
    return [row["id"] for row in await pool.fetch(OLDEST_OPERATORS, limit)]


async def add_key(pool: asyncpg.Pool, key: ApiKeyView, *, by: By, name: str | None = None) -> AddVerdict:
    """`name` is what its operator calls it."""
    noted = entry(
        Kind.KEY_CREATED,
        by,
        operator_id=key.operator_id or None,
        subject=key.key_id,
        scope=key.scope,
        name=name,
        brand=key.brand,
        expires_at=None if key.expires_at is None else key.expires_at.isoformat(),
    )
    verdict: AddVerdict = await pool.fetchval(
        ADD_KEY,
        key.operator_id or None,
        key.key_id,
        key.secret_hash,
        key.scope,
        key.expires_at,
        KEYS_LIMIT,
        key.brand,
        name,
        *noted,
    )
    return verdict


async def rotate_key(
    pool: asyncpg.Pool,
    *,
    operator_id: str | None,
    key_id: str,
    new_id: str,
    secret_hash: str,
    overlap_s: int,
    by: By,
) -> RotatedKey | None:
    """None when the operator has no such key that still opens something."""
    noted = entry(
        Kind.KEY_ROTATED, by, operator_id=operator_id, subject=key_id, new_key_id=new_id, overlap_s=overlap_s
    )
    row = await pool.fetchrow(ROTATE_KEY, operator_id, key_id, new_id, secret_hash, overlap_s, *noted)
    return None if row is None else RotatedKey(**dict(row))


async def revoke_key(pool: asyncpg.Pool, *, operator_id: str | None, key_id: str, by: By) -> bool:
    """Revokes a key. Returns whether the operator has it. A repeat changes nothing."""
    noted = entry(Kind.KEY_REVOKED, by, operator_id=operator_id, subject=key_id)
    known: bool = await pool.fetchval(REVOKE_KEY, operator_id, key_id, *noted)
    return known


async def find_key(pool: asyncpg.Pool, key_id: str) -> ApiKeyView | None:
    """The key, if it opens anything now."""
    row = await pool.fetchrow(FIND_KEY, key_id)
    return None if row is None else ApiKeyView(**dict(row))


async def find_holder(pool: asyncpg.Pool, key_id: str) -> KeyHolder | None:
    """Whose the key is, if it opens anything now and is an operator's."""
    return (await find_holders(pool, [key_id])).get(key_id)


async def find_holders(pool: asyncpg.Pool, key_ids: Collection[str]) -> dict[str, KeyHolder]:
    """The same of many keys, by the ids of those that open something."""
    return {row["key_id"]: KeyHolder(**row) for row in await pool.fetch(FIND_HOLDERS, list(key_ids))}


async def list_keys(pool: asyncpg.Pool, *, operator_id: str | None) -> list[ApiKeyRecord]:
    """The operator's keys: those that open something first, then newest first."""
    rows = await pool.fetch(LIST_KEYS, operator_id, LISTED_LIMIT)
    return [ApiKeyRecord(**dict(row)) for row in rows]


async def add(pool: asyncpg.Pool, *, operator_id: str, name: str) -> bool:
    """Adds an operator. Returns whether there was none of this id."""
    added: bool = await pool.fetchval(ADD_OPERATOR, operator_id, name)
    return added


async def switch(pool: asyncpg.Pool, *, operator_id: str, enabled: bool) -> bool:
    """Enables or disables an operator. Returns whether there is one of this id."""
    known: bool = await pool.fetchval(SWITCH_OPERATOR, operator_id, enabled)
    return known


async def find(pool: asyncpg.Pool, operator_id: str) -> OperatorRecord | None:
    row = await pool.fetchrow(FIND_OPERATOR, operator_id)
    return None if row is None else OperatorRecord(**dict(row))


async def listed(pool: asyncpg.Pool, *, after: str, limit: int) -> list[OperatorRecord]:
    """Operators by their ids, those after `after`."""
    return [OperatorRecord(**dict(row)) for row in await pool.fetch(LIST_OPERATORS, after, limit)]


async def open_sessions(pool: asyncpg.Pool, *, operator_id: str) -> list[str]:
    """The ids of the operator's sessions with which a bet may still come, or be on its way."""
    return [row["id"] for row in await pool.fetch(OPEN_SESSIONS, operator_id)]
