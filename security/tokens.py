"""Session tokens: EdDSA JWTs that say who plays what until when, checked without any query."""

import hashlib
import time
from collections.abc import Callable
from typing import Any, Final

import jwt

from contracts.sessions import SessionClaims
from security.keyring import Keyring

ALGORITHM: Final = "EdDSA"
AUDIENCE: Final = "croupier:game"
ISSUER: Final = "croupier"

# A token of ours has some 500 characters. Anything much longer is refused before it is parsed.
TOKEN_LIMIT: Final = 2_048
CACHE_LIMIT: Final = 10_000
# How far the clocks of two ingresses may be apart: a token of one is valid at once at the other.
CLOCK_SKEW_S: Final = 30

# Claim names are short because the token travels with every request. exp stands apart: it is the one integer
# that JWT itself defines.
_TEXT_CLAIMS: Final = {
    "sid": "session_id",
    "op": "operator_id",
    "sub": "player_id",
    "game": "game_id",
    "cur": "currency",
    "mode": "mode",
}
_INTEGER_CLAIMS: Final = {"pk": "player_key", "acc": "account_id", "exp": "expires_at"}
# Left out of the token where they say nothing, and tokens of before they were have none.
_OPTIONAL_TEXT_CLAIMS: Final = {"jur": "jurisdiction"}
# When a token begins: ours say when they were issued. A token from before that was so says nothing.
_BEGINNINGS: Final = ("iat", "nbf")
_REQUIRED: Final = ["iss", "aud", *_TEXT_CLAIMS, *_INTEGER_CLAIMS]


class TokenInvalid(Exception):
    """Not a session token of ours. The text never quotes the token."""


class TokenExpired(Exception):
    """A genuine token whose time is over. It takes no bet; `claims` still serves reads and resumes."""

    def __init__(self, claims: SessionClaims) -> None:
        super().__init__("the session has expired")
        self.claims = claims


class TokenIssuer:
    """Signs session tokens with the active key of the tokens section."""

    def __init__(self, keyring: Keyring, clock: Callable[[], float] = time.time) -> None:
        self._key = keyring.tokens.signing_key()
        self._headers = {"kid": keyring.tokens.active}
        self._clock = clock

    def issue(self, claims: SessionClaims) -> str:
        payload: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "iat": int(self._clock())}
        for name, attribute in (_TEXT_CLAIMS | _INTEGER_CLAIMS).items():
            payload[name] = getattr(claims, attribute)
        for name, attribute in _OPTIONAL_TEXT_CLAIMS.items():
            if (value := getattr(claims, attribute)) is not None:
                payload[name] = value
        token = jwt.encode(payload, self._key, algorithm=ALGORITHM, headers=self._headers)
        if len(token) > TOKEN_LIMIT:
            raise ValueError("these claims do not fit a session token")
        return token


class TokenVerifier:
    """Checks session tokens in memory with the public keys of the tokens section.

    `clock` gives seconds since the epoch. A token's beginning may be CLOCK_SKEW_S ahead of it; its end is the
    issuer's word, and grants no grace. A token that was verified once is remembered by its hash, so a
    session pays for its signature once; its expiry is checked on every call. Refused tokens are not
    remembered, or an unauthenticated client could push the players' tokens out.
    """

    def __init__(
        self, keyring: Keyring, clock: Callable[[], float], *, cache_limit: int = CACHE_LIMIT
    ) -> None:
        self._keys = keyring.tokens.public_keys()
        self._clock = clock
        self._cache: dict[bytes, SessionClaims] = {}
        self._cache_limit = cache_limit

    def verify(self, token: str) -> SessionClaims:
        """The claims of a genuine token in its time. Raises TokenInvalid or TokenExpired."""
        if len(token) > TOKEN_LIMIT or not token.isascii():
            raise TokenInvalid("not a session token")
        digest = hashlib.sha256(token.encode()).digest()
        claims = self._cache.get(digest)
        if claims is None:
            claims = self._verify_signed(token)
            self._remember(digest, claims)
        if claims.expires_at <= self._clock():
            raise TokenExpired(claims)
        return claims

    def _verify_signed(self, token: str) -> SessionClaims:
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(key_id) if isinstance(key_id, str) else None
            if key is None:
                raise TokenInvalid("the token names no key of ours")
            payload = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],  # pinned: neither "none" nor an HMAC keyed with our public key
                audience=AUDIENCE,
                issuer=ISSUER,
                # Times are ours to check, against the injected clock and after the cache.
                options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.PyJWTError as error:
            # Only the kind of error is reported: PyJWT's texts can quote the token's content.
            raise TokenInvalid(f"the token is not valid ({type(error).__name__})") from None
        self._check_beginnings(payload)
        return _claims(payload)

    def _check_beginnings(self, payload: dict[str, Any]) -> None:
        """Once for each token is enough: what has begun stays so."""
        latest = self._clock() + CLOCK_SKEW_S
        for name in _BEGINNINGS:
            begins = payload.get(name)
            if begins is not None and (type(begins) is not int or not 0 <= begins <= latest):
                raise TokenInvalid("the token is of another time")

    def _remember(self, digest: bytes, claims: SessionClaims) -> None:
        if len(self._cache) >= self._cache_limit:
            # The oldest goes. If it is still in use it is verified once more, which costs a fraction of a ms.
            self._cache.pop(next(iter(self._cache)), None)
        self._cache[digest] = claims


def _claims(payload: dict[str, Any]) -> SessionClaims:
    """Our signature vouches for the values; their types are checked so that no later issuer can surprise."""
    texts = {attribute: payload[name] for name, attribute in _TEXT_CLAIMS.items()}
    texts |= {
        attribute: payload[name] for name, attribute in _OPTIONAL_TEXT_CLAIMS.items() if name in payload
    }
    integers = {attribute: payload[name] for name, attribute in _INTEGER_CLAIMS.items()}
    if not all(type(value) is str for value in texts.values()):
        raise TokenInvalid("a claim is not a string")
    if not all(type(value) is int for value in integers.values()):
        raise TokenInvalid("a claim is not an integer")
    return SessionClaims(**texts, **integers)
