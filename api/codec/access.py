"""Who may have payloads opened: people by tokens of an issuer, the platform by its API keys, and the account
that runs an embedded stack by a path that nobody else is told."""

import asyncio
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from runtime.peers import Address, account_of

# `support` has payloads opened; `admin` also sealed, which makes them of this installation.
Scope = Literal["admin", "support"]
SCOPES: Final[tuple[Scope, ...]] = ("admin", "support")
# sudo says whose session it was started from: that account has the browser.
STARTED_BY: Final = "SUDO_UID"


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom the record names, and what they may do."""

    name: str
    scope: Scope


class Refused(Exception):
    """Why a request is not answered, for people, with its HTTP status and the reason under which it counts.
    The text holds nothing of the request."""

    def __init__(
        self, status: int, reason: str, text: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})


def nothing_here() -> Refused:
    return Refused(404, "not-found", "There is nothing here: post to /decode or /encode.")


def unauthenticated(text: str) -> Refused:
    return Refused(401, "unauthenticated", text, headers={"www-authenticate": "Bearer"})


class Tokens(Protocol):
    """One kind of token."""

    def takes(self, token: str) -> bool:
        """Whether it looks like one of this kind."""

    async def reader(self, token: str, address: str) -> Reader:
        """Whose it is. Raises Refused."""


class Access:
    """All ways in. `path` is the one that asks for no token; `accounts` are the user ids of this machine that
    may take it."""

    def __init__(
        self,
        tokens: tuple[Tokens, ...] = (),
        *,
        path: str | None = None,
        accounts: frozenset[int] = frozenset(),
    ) -> None:
        self._tokens = tokens
        self._path = None if path is None else path.encode()
        self._accounts = accounts

    async def by_token(self, authorization: str | None, address: str) -> Reader:
        """Of the header `Authorization`. Raises Refused."""
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise unauthenticated("Send a token as `Authorization: Bearer ...`.")
        for tokens in self._tokens:
            if tokens.takes(token):
                return await tokens.reader(token, address)
        raise unauthenticated("The token is of no kind that this codec server takes.")

    async def by_path(self, path: str, client: Address | None, server: Address | None) -> Reader:
        """Whoever asks at the path, over a connection of an account that may. Raises Refused."""
        if self._path is None or not hmac.compare_digest(path.encode(), self._path):
            raise nothing_here()
        account = await asyncio.to_thread(account_of, client, server) if client and server else None
        if account not in self._accounts:
            raise Refused(
                403,
                "forbidden",
                "Only the account that runs this stack, and root, have payloads opened here without a token.",
            )
        return Reader(f"account {account}", "admin")


def own_accounts(environment: Mapping[str, str] = os.environ) -> frozenset[int]:
    """This process's account, root, and the one that has started it by sudo."""
    started_by = environment.get(STARTED_BY, "")
    return frozenset({0, os.geteuid(), *([int(started_by)] if started_by.isdigit() else [])})
