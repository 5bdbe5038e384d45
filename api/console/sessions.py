"""Who has signed in: kept in this process's memory alone, and forgotten when it ends."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

IDLE_S: Final = 30 * 60.0
LONGEST_S: Final = 8 * 3600.0
# When there are so many, the one that was used longest ago ends.
SESSIONS_LIMIT: Final = 1_000
# By the scopes of API keys: what their holders are here.
ROLES: Final = {"game": "viewer", "operator": "support", "admin": "admin"}
DECIDES: Final = frozenset({"operator", "admin"})


@dataclass(slots=True, kw_only=True)
class Session:
    """A person at a browser, by the API key that they signed in with. `csrf` is what forms of this session
    have. The key is sent to the API with each act, and nowhere else."""

    key: str = field(repr=False)
    key_id: str
    operator_id: str
    operator_name: str
    scope: str
    csrf: str = field(repr=False)
    ends_at: float
    used_at: float

    @property
    def role(self) -> str:
        return ROLES[self.scope]

    @property
    def decides(self) -> bool:
        """Whether the API takes decisions about rounds from this key."""
        return self.scope in DECIDES


class Sessions:
    """Found by the secret that the browser's cookie has."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, Session] = {}

    def begin(self, *, key: str, key_id: str, operator_id: str, operator_name: str, scope: str) -> str:
        """Returns what the cookie is to have."""
        now, secret = self._clock(), secrets.token_urlsafe(32)
        if len(self._open) >= SESSIONS_LIMIT:
            del self._open[next(iter(self._open))]
        self._open[secret] = Session(
            key=key,
            key_id=key_id,
            operator_id=operator_id,
            operator_name=operator_name,
            scope=scope,
            csrf=secrets.token_urlsafe(32),
            ends_at=now + LONGEST_S,
            used_at=now,
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
