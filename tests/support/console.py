"""The console that `up` starts, and people who sign in to it, by HTTP."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from compose.stack import Stack
from tests.support.conditions import HANG_S
from tests.support.http import http_client
from tests.support.started import started

CSRF = re.compile(r'name="csrf" value="([^"]+)"')


def console_server(stack: Stack) -> AbstractAsyncContextManager[str]:
    """Its address."""
    return started(stack, "console", stack.start_console, "console_url")


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever sits at a browser. Cookies are kept as browsers keep those of their own machine."""

    url: str
    http: httpx.AsyncClient
    cookie: dict[str, str]

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    async def get(self, path: str = "", **headers: str) -> httpx.Response:
        """A page, without what it redirects to."""
        return await self.http.get(f"{self.url}{path}", headers=headers | self._cookies())

    async def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        """As a form of the console's own page is sent."""
        sent = {"origin": self.origin, **headers} | self._cookies()
        return await self.http.post(f"{self.url}{path}", data=form, headers=sent)

    async def sign_in(self, key: str, **form: str) -> httpx.Response:
        answer = await self.post("/sign-in", {"key": key, **form})
        if "set-cookie" in answer.headers:
            name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
            self.cookie[name] = value
        return answer

    async def csrf(self, path: str = "/rounds") -> str:
        """Of the session's pages."""
        found = CSRF.search((await self.get(path)).text)
        assert found is not None
        return found[1]

    def _cookies(self) -> dict[str, str]:
        return {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookie.items())}


@asynccontextmanager
async def person(url: str, key: str | None = None, **options: Any) -> AsyncIterator[Person]:
    """Signed in with the key, where one is given."""
    async with http_client(timeout=HANG_S, **options) as http:
        found = Person(url, http, {})
        if key is not None:
            assert (await found.sign_in(key)).status_code == 303
        yield found
