"""Tokens of people, as an OpenID Connect issuer signs them: checked against its published keys."""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from jwt import PyJWK, PyJWKSet

from api.codec.access import SCOPES, Reader, Refused, unauthenticated
from outbound.client import ClientLimits, OutboundClient, Unanswered

DISCOVERY: Final = "/.well-known/openid-configuration"
# Signatures that a public key checks: with a shared secret, whoever reads the published keys could sign.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
SYMMETRIC: Final = "oct"
LEEWAY_S: Final = 30
# How often the keys are read again, how soon for a key id that is not among them, and for how long they
# count while the issuer does not answer.
FRESH_S: Final = 300.0
AGAIN_S: Final = 10.0
STALE_S: Final = 3600.0
DOCUMENT_LIMIT_BYTES: Final = 256 * 1024
SUBJECT_SHOWN: Final = 128
LIMITS: Final = ClientLimits(connect_s=3, read_s=3, total_s=5, calls=2)

# The JSON at a URL. Raises Unanswered, or ValueError for what is none.
Fetch = Callable[[str], Awaitable[Any]]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    """The issuer's keys by their ids, and when they were read and last asked for, in seconds."""

    keys: Mapping[str, PyJWK] = field(default_factory=dict)
    read_at: float = float("-inf")
    asked_at: float = float("-inf")


class IssuerKeys:
    """The keys of an issuer, read when they are needed. An unknown key id, which anybody can send, makes them
    be read again at most once in AGAIN_S."""

    def __init__(self, issuer: str, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer, self._fetch, self._clock = issuer, fetch, clock
        self._known = _Known()
        self._reading = asyncio.Lock()

    async def key(self, key_id: str) -> PyJWK | None:
        """None for an id that the issuer does not publish. Raises Refused while it does not answer and what
        is known is too old."""
        if self._due(key_id):
            async with self._reading:
                if self._due(key_id):  # nobody else has read them meanwhile
                    await self._read()
        if self._clock() - self._known.read_at > STALE_S:
            raise Refused(503, "unavailable", "The issuer of tokens does not answer: try again later.")
        return self._known.keys.get(key_id)

    def _due(self, key_id: str) -> bool:
        known, now = self._known, self._clock()
        wanted = key_id not in known.keys or now - known.read_at >= FRESH_S
        return wanted and now - known.asked_at >= AGAIN_S

    async def _read(self) -> None:
        known = self._known
        try:
            known.keys = await self._published()
            known.read_at = self._clock()
        except Unanswered as problem:
            log.warning("the issuer's keys cannot be read: %s", problem.why)
        except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as problem:
            log.warning("the issuer's keys cannot be used: %s", type(problem).__name__)
        finally:
            known.asked_at = self._clock()

    async def _published(self) -> dict[str, PyJWK]:
        described = await self._fetch(self._issuer.rstrip("/") + DISCOVERY)
        if described["issuer"] != self._issuer:
            raise ValueError("the document is of another issuer")
        found = PyJWKSet.from_dict(await self._fetch(described["jwks_uri"]))
        return {key.key_id: key for key in found if key.key_id and key.key_type != SYMMETRIC}


class People:
    """Tokens of one issuer for one audience, whose claim `claim` has the word `admin` or `support`: a text
    with words, as `scope` is, or a list of them, as groups and roles are."""

    def __init__(self, keys: IssuerKeys, *, issuer: str, audience: str, claim: str) -> None:
        self._keys, self._issuer, self._audience, self._claim = keys, issuer, audience, claim

    def takes(self, token: str) -> bool:
        return token.count(".") == 2

    async def reader(self, token: str, address: str) -> Reader:
        """Raises Refused."""
        try:
            key = await self._keys.key(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                raise unauthenticated("The token is signed with a key that its issuer does not publish.")
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.ExpiredSignatureError:
            raise unauthenticated("The token has expired: sign in again.") from None
        except jwt.PyJWTError:
            raise unauthenticated("The token is not one of this issuer for this audience.") from None
        return self._allowed(claims)

    def _allowed(self, claims: Mapping[str, Any]) -> Reader:
        said = claims.get(self._claim)
        words = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
        for scope in SCOPES:
            if scope in words:
                return Reader(f"subject {claims['sub'][:SUBJECT_SHOWN]!r}", scope)
        raise Refused(
            403, "forbidden", f"The token's claim {self._claim} has neither of the words admin and support."
        )


def people(issuer: str, audience: str, claim: str) -> tuple[People, OutboundClient]:
    """The tokens of an issuer, and the client that asks it, which is to be closed. Whoever sets its address
    trusts it: it may be on this network, with a certificate of any authority that this system trusts."""
    tls = ssl.create_default_context()
    client = OutboundClient(local=True, limits=LIMITS, headers={"accept": "application/json"}, tls=tls)

    async def fetch(url: str) -> Any:
        async with client.permit():
            answer = await client.ask("GET", url, headers={}, wanted={200}, body_limit=DOCUMENT_LIMIT_BYTES)
        return json.loads(answer.body)

    return People(IssuerKeys(issuer, fetch), issuer=issuer, audience=audience, claim=claim), client
