"""Signing in with an API key of an operator, and out."""

import re
from typing import Any, Final
from urllib.parse import unquote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from api.console.console import ATTRIBUTES, COOKIE, check_form, of
from api.console.forms import posted
from api.console.operator_api import ApiAway, ApiRefused
from api.console.pages import page, redirect
from security.api_keys import ApiKeyInvalid, parse_api_key
from storage import operators

HOME: Final = "/console/rounds"
# One of our own pages, whatever a browser would make of the text otherwise.
OURS: Final = re.compile(r"/console/[\w/.~%-]*(\?[\w.~%&=:+-]*)?", re.ASCII)
# What is longer would not fit a cookie.
FOLLOWING_LIMIT: Final = 1_500
NOT_VALID: Final = "This API key opens nothing: it is mistyped, revoked or expired, or it is the platform's."


TOO_MANY: Final = "Too many sign-ins that open nothing came from your address: wait some seconds."


async def sign_in_page(request: Request) -> Response:
    """The form. With `over`, a session has ended meanwhile."""
    following = ours(request.query_params.get("next", ""))
    return _form(request, 200, following, problem=None, over="over" in request.query_params)


async def sign_in(request: Request) -> Response:
    """Begins a session when the API takes the key. Raises FormRefused."""
    console, form = of(request), await posted(request)
    following, key = ours(form.get("next", "")), form.get("key", "").strip()
    address = request.client.host if request.client else ""
    if not console.failures.has_token(address):
        return too_many(request, following)
    try:
        key_id = parse_api_key(key).key_id
        holder = await operators.find_holder(console.pool, key_id) if await console.api.takes(key) else None
    except ApiKeyInvalid:
        holder = None
    except ApiAway as away:
        return refused(request, 503, str(away), following)
    except ApiRefused as problem:
        return refused(request, problem.status, str(problem), following)
    if holder is None:
        console.failures.take(address)
        return refused(request, 401, NOT_VALID, following)
    answer = redirect(following)
    begin_session(
        request,
        answer,
        key=key,
        key_id=holder.key_id,
        operator_id=holder.operator_id,
        operator_name=holder.operator_name,
        scope=holder.scope,
    )
    return answer


def begin_session(request: Request, answer: Response, **about: Any) -> None:
    """Begins one in place of the browser's present one; the answer brings its cookie. `about` is as
    Sessions.begin has it."""
    sessions = of(request).sessions
    sessions.end(request.cookies.get(COOKIE, ""))
    answer.headers.append("set-cookie", f"{COOKIE}={sessions.begin(**about)}; {ATTRIBUTES}")


async def sign_out(request: Request) -> Response:
    """Ends the session here, whatever becomes of the cookie, also one that cannot be renewed now; and then
    the issuer's own. A page leads there: browsers let no form of ours be sent on to another site. Raises
    FormRefused."""
    console, form = of(request), await posted(request)
    session = console.sessions.find(request.cookies.get(COOKIE, ""))
    if session is None:
        return redirect("/console/sign-in?over=yes")
    check_form(form, session)
    console.sessions.end(request.cookies.get(COOKIE, ""))
    there = await console.party.farewell() if session.grant and console.party else None
    answer = page("leaving.html", there=there) if there else redirect("/console/sign-in")
    answer.headers["set-cookie"] = f"{COOKIE}=; Max-Age=0; {ATTRIBUTES}"
    return answer


async def home(request: Request) -> Response:
    return redirect(HOME)


def ours(path: str) -> str:
    """The page that follows, which is one of our own."""
    known = len(path) <= FOLLOWING_LIMIT and OURS.fullmatch(path)
    return path if known and "//" not in unquote(path.partition("?")[0]) else HOME


def refused(request: Request, status: int, problem: str, following: str) -> Response:
    """The form once more, with what was wrong."""
    return _form(request, status, ours(following), problem=problem, over=False)


def too_many(request: Request, following: str) -> Response:
    return refused(request, 429, TOO_MANY, following)


def _form(request: Request, status: int, following: str, *, problem: str | None, over: bool) -> Response:
    party = of(request).party
    return page(
        "sign_in.html",
        status=status,
        next=following,
        problem=problem,
        over=over,
        issuer=None if party is None else party.name,
        to_issuer=f"/console/sign-in/oidc?{urlencode({'next': following})}",
    )
