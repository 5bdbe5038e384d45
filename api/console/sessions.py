"""Who has signed in: kept in this process's memory alone, and forgotten when it ends."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from api.console.party import Grant
from contracts import actors

IDLE_S: Final = 30 * 60.0
LONGEST_S: Final = 8 * 3600.0
# When there are so many, the one that was used longest ago ends.
SESSIONS_OF_OPERATOR: Final = 200
# By the scopes of API keys: what their holders are here.
ROLES: Final = {"game": "viewer", "operator": "support", "admin": "admin"}
DECIDES: Final = frozenset({"operator", "admin"})


@dataclass(slots=True, kw_only=True)
class Session:
    """A person at a browser. `key` is the API key that they signed in with, or their access token of an
    issuer: it is sent to the API with each act, and nowhere else. `key_id` is None for a person of an issuer,
    and `grant` for the holder of a key. `csrf` is what forms of this session have. `disabled` is whether the
    operator is: here one only reads then. `sent` are the forms that count once, and have. `told` is what the
    next page says of an act that was done."""

    key: str = field(repr=False)
    key_id: str | None
    operator_id: str
    operator_name: str
    scope: str
    csrf: str = field(repr=False)
    ends_at: float
    used_at: float
    disabled: bool = False
    sent: set[str] = field(default_factory=set)
    told: str = ""
    grant: Grant | None = None
    renewing: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @property
    def actor(self) -> str:
        """As records name whoever has signed in."""
        if self.grant is not None:
            return actors.by_person(self.grant.person.subject)
        return actors.by_key(self.key_id or "")

    @property
    def role(self) -> str:
        return ROLES[self.scope]

    @property
    def decides(self) -> bool:
        """Whether the API takes decisions about rounds from this key."""
        return self.scope in DECIDES and not self.disabled

    def take_told(self) -> str:
        """Once: no address can make a page say that something was done."""
        told, self.told = self.told, ""
        return told

    def renew(self, grant: Grant) -> None:
        """Goes on with a later token. What the issuer lets the person do may have changed."""
        self.grant, self.key, self.scope = grant, grant.access, grant.person.scope


class Sessions:
    """Found by the secret that the browser's cookie has."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, Session] = {}

    def begin(
        self,
        *,
        key: str,
        operator_id: str,
        operator_name: str,
        scope: str,
        key_id: str | None = None,
        grant: Grant | None = None,
    ) -> str:
        """With either `key_id` or `grant`. Returns what the cookie is to have."""
        now, secret = self._clock(), secrets.token_urlsafe(32)
        for over in [one for one in self._open if self.lasting(one) is None]:
            del self._open[over]
        # Longest ago used first. An operator pushes out its own people alone.
        own = [one for one, session in self._open.items() if session.operator_id == operator_id]
        for one in own[: max(0, len(own) - SESSIONS_OF_OPERATOR + 1)]:
            del self._open[one]
        self._open[secret] = Session(
            key=key,
            key_id=key_id,
            operator_id=operator_id,
            operator_name=operator_name,
            scope=scope,
            csrf=secrets.token_urlsafe(32),
            ends_at=now + LONGEST_S,
            used_at=now,
            grant=grant,
        )
        return secret

    def find(self, secret: str) -> Session | None:
        """The session, unless it is over. This is a use of it."""
        session = self.lasting(secret)
        self._open.pop(secret, None)
        if session is None:
            return None
        session.used_at = self._clock()
        self._open[secret] = session  # at the end, where the latest used ones are
        return session

    def lasting(self, secret: str) -> Session | None:
        """The same, and no use of it."""
        session, now = self._open.get(secret), self._clock()
        if session is None or now >= session.ends_at or now - session.used_at >= IDLE_S:
            return None
        return session

    def end(self, secret: str) -> None:
        self._open.pop(secret, None)
