"""Who a person is, as their issuer says in an access token: of which operator, and with what scope."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.oidc.issuer import Issuer
from api.oidc.tokens import claims_of, words
from security.api_keys import SCOPES, KeyScope

OPERATOR_ID_LIMIT: Final = 64


class NoRole(Exception):
    """The token is genuine, and says no operator or no scope. The text is for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """`subject` is the issuer's own id for them. The token ends at `expires_at`, in seconds since 1970."""

    subject: str
    operator_id: str
    scope: KeyScope
    expires_at: int


class AccessTokens:
    """Access tokens of one issuer for our API. The issuer decides, in two claims, who may do what."""

    def __init__(self, issuer: Issuer, *, audience: str, operator_claim: str, scope_claim: str) -> None:
        self._issuer, self._audience = issuer, audience
        self._operator_claim, self._scope_claim = operator_claim, scope_claim

    async def person(self, token: str, *, may_ask: Callable[[], bool] = lambda: True) -> Person:
        """Raises TokenRefused, IssuerAway and NoRole."""
        claims = await claims_of(token, self._issuer, audience=self._audience, may_ask=may_ask)
        return Person(
            subject=claims["sub"],
            operator_id=self._operator(claims),
            scope=self._scope(claims),
            expires_at=int(claims["exp"]),
        )

    def _operator(self, claims: Mapping[str, Any]) -> str:
        said = claims.get(self._operator_claim)
        if not isinstance(said, str) or not said.isascii() or not 0 < len(said) <= OPERATOR_ID_LIMIT:
            raise NoRole(f"The token's claim {self._operator_claim} names no operator.")
        return said

    def _scope(self, claims: Mapping[str, Any]) -> KeyScope:
        """The widest of those that it has."""
        said = words(claims.get(self._scope_claim))
        for scope in reversed(SCOPES):
            if scope in said:
                return scope
        raise NoRole(f"The token's claim {self._scope_claim} has none of the words {', '.join(SCOPES)}.")
