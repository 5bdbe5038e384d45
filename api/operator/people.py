"""People who call for an operator with an access token of the issuer that the platform trusts."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import asyncpg

from api.oidc.people import AccessTokens, NoRole
from contracts import actors
from contracts.views import OperatorCaller, OperatorRecord
from storage import operators

# A disabled operator's people only read at the latest after this time.
OPERATOR_CACHE_S: Final = 10.0
OPERATOR_CACHE_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Cached:
    operator: OperatorRecord | None
    until: float  # of the monotonic clock, in seconds


class People:
    """Checks their tokens in memory, and asks the database for their operator now and then."""

    def __init__(self, pool: asyncpg.Pool, tokens: AccessTokens) -> None:
        self._pool, self._tokens = pool, tokens
        self._operators: dict[str, _Cached] = {}

    async def authenticate(self, token: str, *, may_ask: Callable[[], bool]) -> OperatorCaller:
        """`may_ask` is whether the issuer may be asked for a key that is not known. Raises TokenRefused,
        IssuerAway and NoRole."""
        person = await self._tokens.person(token, may_ask=may_ask)
        operator = await self._operator(person.operator_id)
        if operator is None:
            raise NoRole("The token names an operator that there is not.")
        return OperatorCaller(
            actor=actors.by_person(person.subject),
            operator_id=operator.operator_id,
            scope=person.scope,
            disabled=operator.disabled_at is not None,
        )

    async def _operator(self, operator_id: str) -> OperatorRecord | None:
        now = time.monotonic()
        cached = self._operators.get(operator_id)
        if cached is None or cached.until <= now:
            cached = _Cached(await operators.find(self._pool, operator_id), now + OPERATOR_CACHE_S)
            if len(self._operators) >= OPERATOR_CACHE_LIMIT:
                self._operators.pop(next(iter(self._operators)))
            self._operators[operator_id] = cached
        return cached.operator
