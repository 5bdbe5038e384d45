"""API keys of the platform, which has all operators: an operator's own keys open nothing here."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from api.codec.access import Reader, Refused, unauthenticated
from api.gateway.rate_limits import Buckets
from api.operator.service import LookUpRefused, OperatorKeys
from contracts.views import ApiKeyView
from security.api_keys import PLATFORM
from storage.database import AWAY, NotAdmitted

PREFIX: Final = "crk_"


class PlatformKeys:
    """`open_keys` reaches the keys when the first one comes: tokens of people are taken while the database is
    away. `failures` bounds how often an address may present keys that are not valid."""

    def __init__(self, open_keys: Callable[[], Awaitable[OperatorKeys]], failures: Buckets) -> None:
        self._open, self._failures = open_keys, failures
        self._keys: OperatorKeys | None = None
        self._opening = asyncio.Lock()

    def takes(self, token: str) -> bool:
        return token.startswith(PREFIX)

    async def reader(self, token: str, address: str) -> Reader:
        """Raises Refused."""
        try:
            key = await self._find(token, address)
        except LookUpRefused:
            key = None
        except (*AWAY, NotAdmitted):
            raise Refused(
                503, "unavailable", "The database does not answer, so no API key can be checked now."
            ) from None
        if key is None:
            if self._failures.take(address):
                raise Refused(429, "too-many", "Too many keys that are not valid: try again later.")
            raise unauthenticated("The API key is not valid.")
        if key.scope != PLATFORM:
            raise Refused(403, "forbidden", "Payloads are of all operators: send a key of the platform.")
        return Reader(f"API key {key.key_id}", "admin")

    async def _find(self, token: str, address: str) -> ApiKeyView | None:
        async with self._opening:
            if self._keys is None:
                self._keys = await self._open()
        return await self._keys.authenticate(token, may_look_up=lambda: self._failures.has_token(address))
