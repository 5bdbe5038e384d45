"""What the console's pages share: the read model, who has signed in, and the way to the API."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

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
        if session is None:
            return None
        holder = await operators.find_holder(self.pool, session.key_id)
        if holder is None or (holder.operator_id, holder.scope) != (session.operator_id, session.scope):
            self.sessions.end(secret)
            return None
        session.disabled = holder.disabled
        return session


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


def _over(request: Request, form: Form) -> Response:
    """Nobody has signed in any more. What was written for good can be copied, and the form's page found."""
    try:
        came_from = urlsplit(form.get("back") or request.headers.get("referer", ""))
    except ValueError:
        came_from = urlsplit("")
    back = f"{came_from.path}?{came_from.query}" if came_from.path.startswith("/console/") else "/console"
    # Signing in leads to one of our own pages, whatever this says.
    return page("over.html", status=401, reason=form.get("reason", ""), back=quote(back.rstrip("?"), safe=""))


def acts(handler: Post) -> Callable[[Request], Awaitable[Response]]:
    """What a form of a session's own pages asks for. Raises FormRefused."""

    async def answer(request: Request) -> Response:
        form = await posted(request)
        session = await of(request).session(request)
        if session is None:
            return _over(request, form)
        if not hmac.compare_digest(form.get("csrf", "").encode(), session.csrf.encode()):
            raise FormRefused(403, "This form is not of your session. Open the page again, and send it anew.")
        return await handler(request, session, form)

    return answer
