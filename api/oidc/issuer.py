"""An OpenID Connect issuer, as everybody can read it: where it is asked for what, and its tokens' keys."""

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

from outbound.breaker import NotAsked
from outbound.client import ClientLimits, OutboundClient, Unanswered
from runtime.addresses import trusted

DISCOVERY: Final = "/.well-known/openid-configuration"
SYMMETRIC: Final = "oct"
# How often the documents are read again, how soon for a key id that is not among them, and for how long they
# count while the issuer does not answer.
FRESH_S: Final = 300.0
AGAIN_S: Final = 10.0
STALE_S: Final = 3600.0
DOCUMENT_LIMIT_BYTES: Final = 256 * 1024
# Who may wait for the issuer at once: anybody can send a key id that makes it be asked.
WAITING_LIMIT: Final = 16
LIMITS: Final = ClientLimits(connect_s=3, read_s=3, total_s=5, calls=4, wait_s=5)

# The JSON at a URL. Raises Unanswered or NotAsked, or ValueError for what is none.
Fetch = Callable[[str], Awaitable[Any]]

log = logging.getLogger(__name__)


class IssuerAway(Exception):
    """What the issuer says is not known, or too old, and it does not answer. The text is for people."""

    def __init__(self) -> None:
        super().__init__("The issuer of tokens does not answer: try again later.")


@dataclass(slots=True)
class _Known:
    """The document, the keys by their ids, and when they were read and last asked for, in seconds."""

    document: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, PyJWK] = field(default_factory=dict)
    read_at: float = float("-inf")
    asked_at: float = float("-inf")


class Issuer:
    """What an issuer publishes, read when it is needed. An unknown key id, which anybody can send, makes it
    be read again at most once in AGAIN_S; while that is done, whoever needs what is known does not wait."""

    def __init__(self, url: str, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self.url: Final = url
        self._fetch, self._clock = fetch, clock
        self._known = _Known()
        self._reading: asyncio.Task[None] | None = None
        self._waiting = 0

    async def key(self, key_id: str, *, may_ask: Callable[[], bool] = lambda: True) -> PyJWK | None:
        """None for an id that the issuer does not publish, or that is unknown and `may_ask` returns False.
        Raises IssuerAway."""
        known = self._known
        if key_id not in known.keys or self._is_stale():
            if self._may_be_asked() and may_ask():
                await self._read()
        elif self._clock() - known.read_at >= FRESH_S and self._may_be_asked():
            self._begin()
        if self._is_stale():
            raise IssuerAway
        return known.keys.get(key_id)

    async def document(self) -> Mapping[str, Any]:
        """What it says of itself. Raises IssuerAway."""
        if self._clock() - self._known.read_at >= FRESH_S and self._may_be_asked():
            await self._read()
        if self._is_stale():
            raise IssuerAway
        return self._known.document

    async def aclose(self) -> None:
        """Ends what is still being read."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    def _is_stale(self) -> bool:
        return self._clock() - self._known.read_at > STALE_S

    def _may_be_asked(self) -> bool:
        return self._reading is not None or self._clock() - self._known.asked_at >= AGAIN_S

    async def _read(self) -> None:
        """Returns when it has been read, or could not be. Raises IssuerAway where too many wait for that."""
        if self._waiting >= WAITING_LIMIT:
            raise IssuerAway
        self._waiting += 1
        try:
            # One who gives up does not end it for the others.
            await asyncio.shield(self._begin())
        finally:
            self._waiting -= 1

    def _begin(self) -> "asyncio.Task[None]":
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_once())
        return self._reading

    async def _read_once(self) -> None:
        known = self._known
        try:
            known.document, known.keys = await self._published()
            known.read_at = self._clock()
        except (Unanswered, NotAsked) as problem:
            why = problem.why if isinstance(problem, Unanswered) else "too many calls are under way"
            log.warning("the issuer of tokens cannot be read: %s", why)
        except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as problem:
            log.warning("what the issuer of tokens says cannot be used: %s", type(problem).__name__)
        finally:
            known.asked_at = self._clock()
            self._reading = None

    async def _published(self) -> tuple[Mapping[str, Any], Mapping[str, PyJWK]]:
        document = await self._fetch(self.url.rstrip("/") + DISCOVERY)
        if document["issuer"] != self.url:
            raise ValueError("the document is of another issuer")
        found = PyJWKSet.from_dict(await self._fetch(trusted(document["jwks_uri"])))
        return document, {key.key_id: key for key in found if key.key_id and key.key_type != SYMMETRIC}


def issuer_client() -> OutboundClient:
    """The way to an issuer. Whoever sets its address trusts it: it may be on this network, with a certificate
    of any authority that this system trusts."""
    tls = ssl.create_default_context()
    return OutboundClient(local=True, limits=LIMITS, headers={"accept": "application/json"}, tls=tls)


def fetched_by(client: OutboundClient) -> Fetch:
    """What an issuer publishes, read by this client."""

    async def fetch(url: str) -> Any:
        async with client.permit():
            answer = await client.ask("GET", url, headers={}, wanted={200}, body_limit=DOCUMENT_LIMIT_BYTES)
        return json.loads(answer.body)

    return fetch
