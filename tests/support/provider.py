"""An OpenID Connect provider of the tests' own over real HTTP: people sign in, and clients get tokens."""

import asyncio
import base64
import hashlib
import html
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from outbound.client import Unanswered
from runtime.listening import open_listener
from tests.support.issuer import DISCOVERY, KEYS, Issuer

API: Final = "croupier-api"
CLIENT: Final = "croupier-console"
PATH: Final = "/casino"


@dataclass
class Code:
    """What was asked for when somebody signed in."""

    asked: dict[str, str]
    person: dict[str, Any]


@dataclass
class Provider(Issuer):
    """Whoever is asked to sign in there is `person`. `redirects` are the addresses that its client may be led
    back to. `lasts_s` is how long access tokens do; `access` and `identity` change what tokens say."""

    secret: str = "a secret of the client %&+ and no other"
    person: dict[str, Any] = field(default_factory=dict)
    redirects: set[str] = field(default_factory=set)
    lasts_s: int = 300
    refreshes: bool = True
    access: dict[str, Any] = field(default_factory=dict)
    identity: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    refresh: dict[str, dict[str, Any]] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    left: int = 0

    @property
    def document(self) -> dict[str, Any]:
        ends = {name: f"{self.url}/{name.partition('_')[0]}" for name in ENDPOINTS}
        return {"issuer": self.url, "jwks_uri": self.url + KEYS, **ends}

    def signed_in(self, address: str) -> str:
        """Where a browser is led that signs in at this address of ours."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert asked["redirect_uri"] in self.redirects
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = Code(asked, dict(self.person))
        self.given.append(code)
        return (
            f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.url})}"
        )

    def tokens(self, person: dict[str, Any], *, nonce: str | None = None) -> dict[str, Any]:
        now_on = {"exp": self.now() + self.lasts_s, "scope": None}
        found: dict[str, Any] = {
            "token_type": "Bearer",
            "expires_in": self.lasts_s,
            "access_token": self.token(**{"aud": API, **now_on, **person, **self.access}),
        }
        if nonce is not None:
            about = {"aud": CLIENT, "sub": person["sub"], "nonce": nonce, "scope": None}
            found["id_token"] = self.token(**about | self.identity)
        if self.refreshes:
            found["refresh_token"] = secrets.token_urlsafe(24)
            self.refresh[found["refresh_token"]] = person
        self.given += [found[name] for name in found if name.endswith("_token")]
        return found

    async def authorize(self, request: Request) -> Response:
        """As an issuer asks: the person says yes."""
        led = html.escape(self.signed_in(str(request.url)))
        name = html.escape(str(self.person["sub"]))
        return HTMLResponse(f"<!doctype html><title>Casino</title><a href='{led}'>Go on as {name}</a>")

    async def token_endpoint(self, request: Request) -> Response:
        if self.away:
            return Response(status_code=503)
        kind, _, pair = request.headers.get("authorization", "").partition(" ")
        name, _, secret = base64.b64decode(pair).decode().partition(":") if kind == "Basic" else ("", "", "")
        if (unquote(name), unquote(secret)) != (CLIENT, self.secret):
            return JSONResponse({"error": "invalid_client"}, 401)
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if form["grant_type"] == "refresh_token":
            person = self.refresh.pop(form["refresh_token"], None)  # it counts once
            return _refused() if person is None else JSONResponse(self.tokens(person | self.person))
        code = self.codes.pop(form["code"], None)
        if code is None or form["redirect_uri"] != code.asked["redirect_uri"]:
            return _refused()
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.asked["code_challenge"]:
            return _refused()
        return JSONResponse(self.tokens(code.person, nonce=code.asked["nonce"]))

    async def end(self, request: Request) -> Response:
        back = request.query_params["post_logout_redirect_uri"]
        assert request.query_params["client_id"] == CLIENT
        assert back.rpartition("/")[0] in {where.rpartition("/sign-in/")[0] for where in self.redirects}
        self.left += 1
        return RedirectResponse(back)

    async def published(self, request: Request) -> Response:
        try:
            return JSONResponse(await self.fetch(self.url + request.url.path.removeprefix(PATH)))
        except Unanswered:
            return Response(status_code=503)


ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "end_session_endpoint")


def _refused() -> Response:
    return JSONResponse({"error": "invalid_grant", "error_description": "a text of the issuer's"}, 400)


@asynccontextmanager
async def served_provider(host: str = "127.0.0.1") -> AsyncIterator[Provider]:
    """One that answers at `host`, an address of this machine, until the block ends."""
    listener = open_listener(host, 0)
    provider = Provider(url=f"http://{host}:{listener.getsockname()[1]}{PATH}")
    provider.described = provider.document
    app = Starlette(
        routes=[
            Route(PATH + DISCOVERY, provider.published),
            Route(PATH + KEYS, provider.published),
            Route(f"{PATH}/authorization", provider.authorize),
            Route(f"{PATH}/token", provider.token_endpoint, methods=["POST"]),
            Route(f"{PATH}/end", provider.end),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, ws="none"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield provider
    finally:
        server.should_exit = True
        await serving
