"""Tokens of people for the codec server: whose claim has the word `admin` or `support`."""

from collections.abc import Mapping
from typing import Any, Final

from api.codec.access import SCOPES, Reader, Refused, unauthenticated
from api.oidc.issuer import Issuer, IssuerAway
from api.oidc.tokens import TokenRefused, claims_of, looks_like_one, words

SUBJECT_SHOWN: Final = 128


class People:
    """Tokens of one issuer for one audience, whose claim `claim` has one of the two words."""

    def __init__(self, issuer: Issuer, *, audience: str, claim: str) -> None:
        self._issuer, self._audience, self._claim = issuer, audience, claim

    def takes(self, token: str) -> bool:
        return looks_like_one(token)

    async def reader(self, token: str, address: str) -> Reader:
        """Raises Refused."""
        try:
            claims = await claims_of(token, self._issuer, audience=self._audience)
        except TokenRefused as refused:
            raise unauthenticated(str(refused)) from None
        except IssuerAway as away:
            raise Refused(503, "unavailable", str(away)) from None
        return self._allowed(claims)

    def _allowed(self, claims: Mapping[str, Any]) -> Reader:
        said = words(claims.get(self._claim))
        for scope in SCOPES:
            if scope in said:
                return Reader(f"subject {claims['sub'][:SUBJECT_SHOWN]!r}", scope)
        raise Refused(
            403, "forbidden", f"The token's claim {self._claim} has neither of the words admin and support."
        )
