"""Tokens of people, as an OpenID Connect issuer signs them: the one way in which they are checked."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt

from api.oidc.issuer import Issuer

# Signatures that a public key checks: with a shared secret, whoever reads the published keys could sign.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
LEEWAY_S: Final = 30
# More than a request's head may have beside it.
TOKEN_LIMIT: Final = 8 * 1024
REQUIRED: Final = ("exp", "iat", "sub", "aud", "iss")


class TokenRefused(Exception):
    """The token counts for nothing. The text is for people, and holds nothing of the token."""


def looks_like_one(text: str) -> bool:
    """Whether the text may be a token at all, rather than an API key."""
    return text.count(".") == 2


async def claims_of(
    token: str, issuer: Issuer, *, audience: str, may_ask: Callable[[], bool] = lambda: True
) -> Mapping[str, Any]:
    """What a genuine token in its time says, that `issuer` signed for `audience`. `may_ask` is whether the
    issuer may be asked for a key that is not known yet. Raises TokenRefused and IssuerAway."""
    try:
        if len(token) > TOKEN_LIMIT:
            raise TokenRefused("The token is too long.")
        key_id = str(jwt.get_unverified_header(token).get("kid", ""))
        key = await issuer.key(key_id, may_ask=may_ask)
        if key is None:
            raise TokenRefused("The token is signed with a key that its issuer does not publish.")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            audience=audience,
            issuer=issuer.url,
            leeway=LEEWAY_S,
            options={"require": [*REQUIRED]},
        )
    except jwt.ExpiredSignatureError:
        raise TokenRefused("The token has expired: sign in again.") from None
    except jwt.PyJWTError:
        raise TokenRefused("The token is not one of this issuer for this audience.") from None
    return claims


def words(said: object) -> list[str]:
    """Those of a claim: a text with words, as `scope` is, or a list of them, as groups and roles are."""
    if isinstance(said, str):
        return said.split()
    return [word for word in said if isinstance(word, str)] if isinstance(said, list) else []
