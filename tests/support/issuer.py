"""An OpenID Connect issuer of the tests' own: signs tokens, and publishes the keys that check them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from jwt.algorithms import ECAlgorithm

from outbound.client import Unanswered

AUDIENCE: Final = "croupier-codec"
DISCOVERY: Final = "/.well-known/openid-configuration"
KEYS: Final = "/keys"


@dataclass
class Issuer:
    """Publishes unless it is `away`. `reads` counts how often its keys were read."""

    url: str = "https://login.example/realms/casino"
    keys: dict[str, EllipticCurvePrivateKey] = field(
        default_factory=lambda: {"first": generate_private_key(SECP256R1())}
    )
    described: Any = None  # instead of what is true
    added: list[dict[str, Any]] = field(default_factory=list)
    away: bool = False
    reads: int = 0

    def now(self) -> int:
        """In seconds since 1970."""
        return int(time.time())

    def token(self, key: str | None = None, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good one, by the newest key, but for what is given; a claim of None is left out."""
        key, now = key or [*self.keys][-1], self.now()
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "anna", "scope": "support", "iat": now}
        chosen = {**usual, "exp": now + 300, **claims}
        return jwt.encode(
            {name: value for name, value in chosen.items() if value is not None},
            self.keys[key],
            algorithm="ES256",
            headers={"kid": key, **(header or {})},
        )

    async def fetch(self, url: str) -> Any:
        """What is at an address of its own."""
        if self.away:
            raise Unanswered("timeout", "no answer in time", sent=False)
        if url == self.url + DISCOVERY:
            true = {"issuer": self.url, "jwks_uri": self.url + KEYS}
            return true if self.described is None else self.described
        assert url == self.url + KEYS
        self.reads += 1
        return {"keys": [*(self._published(key_id) for key_id in self.keys), *self.added]}

    def _published(self, key_id: str) -> dict[str, Any]:
        found = ECAlgorithm.to_jwk(self.keys[key_id].public_key(), as_dict=True)
        return {**found, "kid": key_id, "use": "sig"}


@asynccontextmanager
async def served_issuer() -> AsyncIterator[Issuer]:
    """One that answers over HTTP on loopback, until the block ends."""
    issuer = Issuer()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        body = json.dumps(await issuer.fetch(issuer.url.rsplit("/", 1)[0] + path)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/casino"
    try:
        yield issuer
    finally:
        listening.close()
