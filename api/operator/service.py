"""An operator's own matters: its API keys, and which games it offers."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

import asyncpg

from contracts.audit import By
from contracts.views import ApiKeyRecord, ApiKeyView, IssuedApiKey
from security.api_keys import ApiKeyInvalid, KeyScope, PlatformScope, new_api_key, parse_api_key
from storage import game_switches, operators, players

# A revoked key is refused at the latest after this time.
KEY_CACHE_S: Final = 10.0
KEY_CACHE_LIMIT: Final = 10_000


class Switches:
    """Which games an operator offers, and which of its players may bet."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def game(self, *, operator_id: str, game_id: str, enabled: bool, by: By) -> None:
        await game_switches.switch(
            self._pool, operator_id=operator_id, game_id=game_id, enabled=enabled, by=by
        )

    async def player(self, *, operator_id: str, player_id: str, blocked: bool, by: By) -> bool:
        """Blocks or unblocks a player. Returns whether the operator has such a player. Rounds under way
        finish."""
        return await players.block(
            self._pool, operator_id=operator_id, player_id=player_id, blocked=blocked, by=by
        )


@dataclass(frozen=True, slots=True)
class _CachedKey:
    key: ApiKeyView
    until: float  # of the monotonic clock, in seconds


_Cached = TypeVar("_Cached")


class LookUpRefused(Exception):
    """The key is not cached, and the caller has no budget for a query now."""


class TooManyKeys(Exception):
    """The operator has as many keys as it may have."""


class OperatorKeys:
    """Authenticates API keys, and makes, rotates and revokes them. An `operator_id` of None means the keys of
    the platform.

    A found key is remembered for KEY_CACHE_S, and its end is honoured at once. An unknown key id costs a
    query once in that time, and an unauthenticated client with many of them gets no more than its address's
    budget. Keys that were found before are queried again without one: no unauthenticated client keeps an
    operator out.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._found: dict[str, _CachedKey] = {}
        self._unknown: dict[str, float] = {}

    async def authenticate(
        self, presented: str, *, may_look_up: Callable[[], bool] = lambda: True
    ) -> ApiKeyView | None:
        """Returns the stored key that `presented` is, or None. Raises LookUpRefused when the key is not
        cached and `may_look_up` returns False."""
        try:
            parsed = parse_api_key(presented)
        except ApiKeyInvalid:
            return None
        key = await self._find(parsed.key_id, may_look_up)
        if key is None or not parsed.matches(key.secret_hash):
            return None
        return None if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else key

    async def _find(self, key_id: str, may_look_up: Callable[[], bool]) -> ApiKeyView | None:
        now = time.monotonic()
        cached = self._found.get(key_id)
        if cached is not None and cached.until > now:
            return cached.key
        if self._unknown.get(key_id, 0.0) > now:
            return None
        if cached is None and not may_look_up():
            raise LookUpRefused
        key = await operators.find_key(self._pool, key_id)
        if key is None:
            self._found.pop(key_id, None)
            _remember(self._unknown, key_id, now + KEY_CACHE_S)
        else:
            # Counted from before the query: the key may have been revoked while the answer was on its way.
            _remember(self._found, key_id, _CachedKey(key, now + KEY_CACHE_S))
        return key

    async def issue(
        self,
        *,
        operator_id: str | None,
        scope: KeyScope | PlatformScope,
        by: By,
        expires_at: datetime | None = None,
        brand: str | None = None,
        name: str | None = None,
    ) -> IssuedApiKey | None:
        """A new key, which its operator calls by `name`; None when there is no such operator. Raises
        TooManyKeys."""
        key = new_api_key()
        stored = ApiKeyView(
            key_id=key.key_id,
            operator_id=operator_id or "",
            secret_hash=key.secret_hash,
            scope=scope,
            expires_at=expires_at,
            brand=brand,
        )
        verdict = await operators.add_key(self._pool, stored, by=by, name=name)
        if verdict == "too-many":
            raise TooManyKeys
        if verdict == "no-operator":
            return None
        return IssuedApiKey(key_id=key.key_id, text=key.text, scope=scope, expires_at=expires_at, brand=brand)

    async def rotate(
        self, *, operator_id: str | None, key_id: str, overlap_s: int, by: By
    ) -> IssuedApiKey | None:
        """A new key of the same scope, while the old one goes on for `overlap_s`; None when the operator
        has no such key that still opens something."""
        key = new_api_key()
        rotated = await operators.rotate_key(
            self._pool,
            operator_id=operator_id,
            key_id=key_id,
            new_id=key.key_id,
            secret_hash=key.secret_hash,
            overlap_s=overlap_s,
            by=by,
        )
        if rotated is None:
            return None
        self._found.pop(key_id, None)
        return IssuedApiKey(
            key_id=key.key_id,
            text=key.text,
            scope=rotated.scope,
            brand=rotated.brand,
            replaces=key_id,
            replaced_until=rotated.old_expires_at,
        )

    async def revoke(self, *, operator_id: str | None, key_id: str, by: By) -> bool:
        """Revokes a key. Returns whether the operator has it. This process refuses it at once, others within
        KEY_CACHE_S."""
        known = await operators.revoke_key(self._pool, operator_id=operator_id, key_id=key_id, by=by)
        if known:
            self._found.pop(key_id, None)
        return known

    async def listed(self, operator_id: str | None) -> list[ApiKeyRecord]:
        return await operators.list_keys(self._pool, operator_id=operator_id)


def _remember(cache: dict[str, _Cached], key_id: str, value: _Cached) -> None:
    """Caches a value. The oldest one goes when the cache is full."""
    if key_id not in cache and len(cache) >= KEY_CACHE_LIMIT:
        cache.pop(next(iter(cache)))
    cache[key_id] = value
