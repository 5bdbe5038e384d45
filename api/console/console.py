"""What the console's pages share: the read model, who has signed in, and the way to the API."""

import hmac
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import asyncpg
from starlette.requests import Request
from starlette.responses import Response

from api.console.forms import Form, FormRefused, posted
from api.console.operator_api import OperatorApi
from api.console.pages import page, redirect
from api.console.sessions import Session, Sessions
from api.gateway.rate_limits import Buckets
from overview.rounds import Rounds
from storage import operators

COOKIE: Final = "croupier_console"
# Browsers send it with requests of our own pages alone, over TLS or to their own machine.
ATTRIBUTES: Final = "Path=/console; Secure; HttpOnly; SameSite=Strict"


@dataclass(frozen=True, slots=True)
class Console:
    """`temporal_ui` is the web interface that links lead to, None for none. `failures` bounds how often an
    address may present keys that open nothing."""

    pool: asyncpg.Pool
    rounds: Rounds
    api: OperatorApi
    sessions: Sessions
    failures: Buckets
    temporal_ui: str | None

    async def session(self, request: Request) -> Session | None:
        """Who asks: by the cookie, and only as long as the key opens something and its operator has it."""
        secret = request.cookies.get(COOKIE, "")
        session = self.sessions.find(secret)
        if session is None or not await self.lasting([secret]):
            return None
        return session

    async def lasting(self, secrets: Collection[str]) -> dict[str, Session]:
        """Of these secrets, those of sessions that are not over, without a use of them."""
        kept = {secret: found for secret in secrets if (found := self.sessions.lasting(secret)) is not None}
        if not kept:
            return {}
        holders = await operators.find_holders(self.pool, {session.key_id for session in kept.values()})
        for secret, session in list(kept.items()):
            holder = holders.get(session.key_id)
            if holder is None or (holder.operator_id, holder.scope) != (session.operator_id, session.scope):
                self.sessions.end(secret)
                del kept[secret]
        return kept


Get = Callable[[Request, Session], Awaitable[Response]]
Post = Callable[[Request, Session, Form], Awaitable[Response]]


def of(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


def reads(handler: Get) -> Callable[[Request], Awaitable[Response]]:
    """A page for whoever has signed in; others are asked to."""

    async def answer(request: Request) -> Response:
        session = await of(request).session(request)
        if session is not None:
            return await handler(request, session)
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        if request.headers.get("sec-fetch-site") == "cross-site" and COOKIE not in request.cookies:
            # A strict cookie does not come with a link of another site. It does with one of ours.
            return page("arrived.html", here=here)
        return redirect(f"/console/sign-in?next={quote(here, safe='')}")

    return answer


def acts(handler: Post) -> Callable[[Request], Awaitable[Response]]:
    """What a form of a session's own pages asks for. Raises FormRefused."""

    async def answer(request: Request) -> Response:
        form = await posted(request)
        session = await of(request).session(request)
        if session is None:
            return redirect("/console/sign-in?over=yes")
        if not hmac.compare_digest(form.get("csrf", "").encode(), session.csrf.encode()):
            raise FormRefused(403, "This form is not of your session. Open the page again, and send it anew.")
        return await handler(request, session, form)

    return answer
