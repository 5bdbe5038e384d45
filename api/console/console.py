"""What the console's pages share: the read model, who has signed in, and the way to the API."""

import hmac
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

import asyncpg
from starlette.requests import Request
from starlette.responses import Response

from api.console.forms import Form, FormRefused, posted
from api.console.operator_api import OperatorApi
from api.console.pages import page, redirect
from api.console.party import MARGIN_S, Party, SignInRefused
from api.console.sessions import Session, Sessions
from api.gateway.rate_limits import Buckets
from api.oidc.issuer import IssuerAway
from api.oidc.people import NoRole
from overview.rounds import Rounds
from storage import operators

COOKIE: Final = "croupier_console"
# Browsers send it with requests of our own pages alone, over TLS or to their own machine.
ATTRIBUTES: Final = "Path=/console; Secure; HttpOnly; SameSite=Strict"


@dataclass(frozen=True, slots=True)
class Console:
    """`temporal_ui` is the web interface that links lead to, None for none. `failures` bounds how often an
    address may present keys that open nothing. `party` is None where no issuer is set."""

    pool: asyncpg.Pool
    rounds: Rounds
    api: OperatorApi
    sessions: Sessions
    failures: Buckets
    temporal_ui: str | None
    party: Party | None = None

    async def session(self, request: Request) -> Session | None:
        """Who asks: by the cookie, and only as long as what they signed in with counts. Raises IssuerAway
        while nobody can say."""
        secret = request.cookies.get(COOKIE, "")
        session = self.sessions.find(secret)
        if session is None:
            return None
        if session.grant is None:
            counts = _held(session, await operators.find_holder(self.pool, session.key_id or ""))
        else:
            counts = await self._token_counts(session)
        if not counts:
            self.sessions.end(secret)
            return None
        return session

    async def lasting(self, secrets: Collection[str]) -> dict[str, Session]:
        """Of these secrets, those of sessions that are not over, without a use of them. One that has to be
        renewed while the issuer is away is not among them, and not ended."""
        kept = {secret: found for secret in secrets if (found := self.sessions.lasting(secret)) is not None}
        key_ids = {session.key_id for session in kept.values() if session.key_id is not None}
        holders = await operators.find_holders(self.pool, key_ids) if key_ids else {}
        for secret, session in list(kept.items()):
            if session.grant is None:
                counts = _held(session, holders.get(session.key_id or ""))
            else:
                try:
                    counts = await self._token_counts(session)
                except IssuerAway:
                    del kept[secret]
                    continue
            if not counts:
                self.sessions.end(secret)
                del kept[secret]
        return kept

    async def _token_counts(self, session: Session) -> bool:
        """Whether the token is in its time, or a later one could be had for the same person and operator.
        Raises IssuerAway."""
        async with session.renewing:  # a refresh token often counts once
            if session.grant is None or self.party is None:
                return False
            if not session.grant.lasts(MARGIN_S if session.grant.refresh else 0):
                try:
                    session.renew(await self.party.renewed(session.grant))
                except (SignInRefused, NoRole):
                    return False
                except IssuerAway:
                    if not session.grant.lasts():
                        raise
            same = session.grant.person.operator_id == session.operator_id
        operator = await operators.find(self.pool, session.operator_id) if same else None
        session.disabled = operator is not None and operator.disabled_at is not None
        return operator is not None


def _held(session: Session, holder: operators.KeyHolder | None) -> bool:
    """Whether the session's key opens something, and its operator has it."""
    if holder is None or (holder.operator_id, holder.scope) != (session.operator_id, session.scope):
        return False
    session.disabled = holder.disabled
    return True


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
        check_form(form, session)
        return await handler(request, session, form)

    return answer


def check_form(form: Form, session: Session) -> None:
    """Raises FormRefused for a form that no page of the session has sent."""
    if not hmac.compare_digest(form.get("csrf", "").encode(), session.csrf.encode()):
        raise FormRefused(403, "This form is not of your session. Open the page again, and send it anew.")
