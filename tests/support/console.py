"""The console that `up` starts, and people who sign in to it, by HTTP."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from api.console.console import COOKIE
from compose import process
from compose.programs import OwnProgram
from compose.service import wait_until_ready
from compose.stack import Stack
from tests.support.conditions import HANG_S
from tests.support.http import http_client
from tests.support.provider import Provider
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
        return self._keeps(await self.post("/sign-in", {"key": key, **form}))

    async def to_issuer(self, following: str = "") -> httpx.Response:
        """Begins to sign in there."""
        return self._keeps(await self.get(f"/sign-in/oidc?{urlencode({'next': following})}"))

    async def from_issuer(self, address: str) -> httpx.Response:
        """Comes back: from another site, with which browsers send no strict cookie."""
        lax = {name: value for name, value in self.cookie.items() if name != COOKIE}
        headers = {"sec-fetch-site": "cross-site", "cookie": _sent(lax)}
        return self._keeps(await self.http.get(address, headers=headers))

    async def sign_in_at(self, provider: Provider, following: str = "") -> httpx.Response:
        """The whole way."""
        began = await self.to_issuer(following)
        return await self.from_issuer(provider.signed_in(began.headers["location"]))

    async def csrf(self, path: str = "/rounds") -> str:
        """Of the session's pages."""
        found = CSRF.search((await self.get(path)).text)
        assert found is not None
        return found[1]

    def _cookies(self) -> dict[str, str]:
        return {"cookie": _sent(self.cookie)}

    def _keeps(self, answer: httpx.Response) -> httpx.Response:
        """What the answer's cookies say."""
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookie[name] = value
            if "Max-Age=0" in line:
                del self.cookie[name]
        return answer


def _sent(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


@asynccontextmanager
async def one_more_console(stack: Stack, name: str, **settings: Any) -> AsyncIterator[str]:
    """The address of one with settings of its own, those of croupier.example.toml, until the block ends."""
    port, metrics_port = stack.port(name), stack.port(f"{name}-metrics")
    given = {
        "metrics_port": metrics_port,
        "console_port": port,
        "console_database_url": stack.addresses.console_database_url,
        "database_url": "",
        "amqp_url": "",
        **settings,
    }
    variables = {f"CROUPIER_{key.upper()}": str(value) for key, value in given.items()}
    program = OwnProgram(
        name=name,
        module="workers.console",
        ready_url=f"http://127.0.0.1:{metrics_port}/metrics",
        settings={**stack.environment(), **variables},
    )
    running = await process.start(program.command(), stack.layout)
    try:
        await wait_until_ready(name, program.probe, limit_seconds=program.start_seconds)
        yield f"http://127.0.0.1:{port}/console"
    finally:
        await running.stop()


@asynccontextmanager
async def person(url: str, key: str | None = None, **options: Any) -> AsyncIterator[Person]:
    """Signed in with the key, where one is given."""
    async with http_client(timeout=HANG_S, **options) as http:
        found = Person(url, http, {})
        if key is not None:
            assert (await found.sign_in(key)).status_code == 303
        yield found
