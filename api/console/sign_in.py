"""Signing in with an API key of an operator, and out."""

import re
from typing import Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from api.console.console import ATTRIBUTES, COOKIE, acts, of
from api.console.forms import Form, posted
from api.console.operator_api import ApiAway, ApiRefused
from api.console.pages import page, redirect
from api.console.sessions import Session
from security.api_keys import ApiKeyInvalid, parse_api_key
from storage import operators

HOME: Final = "/console/rounds"
# One of our own pages, whatever a browser would make of the text otherwise.
OURS: Final = re.compile(r"/console/[\w/.~%-]*(\?[\w.~%&=:+-]*)?", re.ASCII)
NOT_VALID: Final = "This API key opens nothing: it is mistyped, revoked or expired, or it is the platform's."


async def sign_in_page(request: Request) -> Response:
    """The form. With `over`, a session has ended meanwhile."""
    over = "over" in request.query_params
    return page("sign_in.html", next=_ours(request.query_params.get("next", "")), problem=None, over=over)


async def sign_in(request: Request) -> Response:
    """Begins a session when the API takes the key. Raises FormRefused."""
    console, form = of(request), await posted(request)
    following, key = _ours(form.get("next", "")), form.get("key", "").strip()
    address = request.client.host if request.client else ""
    if not console.failures.has_token(address):
        return _refused(
            429, "Too many keys that open nothing came from your address: wait a minute.", following
        )
    try:
        key_id = parse_api_key(key).key_id
        holder = await operators.find_holder(console.pool, key_id) if await console.api.takes(key) else None
    except ApiKeyInvalid:
        holder = None
    except ApiAway as away:
        return _refused(503, str(away), following)
    except ApiRefused as refused:
        return _refused(refused.status, str(refused), following)
    if holder is None:
        console.failures.take(address)
        return _refused(401, NOT_VALID, following)
    console.sessions.end(request.cookies.get(COOKIE, ""))
    secret = console.sessions.begin(
        key=key,
        key_id=holder.key_id,
        operator_id=holder.operator_id,
        operator_name=holder.operator_name,
        scope=holder.scope,
    )
    answer = redirect(following)
    answer.headers["set-cookie"] = f"{COOKIE}={secret}; {ATTRIBUTES}"
    return answer


@acts
async def sign_out(request: Request, session: Session, form: Form) -> Response:
    """Ends the session here, whatever becomes of the cookie."""
    of(request).sessions.end(request.cookies.get(COOKIE, ""))
    answer = redirect("/console/sign-in")
    answer.headers["set-cookie"] = f"{COOKIE}=; Max-Age=0; {ATTRIBUTES}"
    return answer


async def home(request: Request) -> Response:
    return redirect(HOME)


def _ours(path: str) -> str:
    return path if OURS.fullmatch(path) and "//" not in unquote(path.partition("?")[0]) else HOME


def _refused(status: int, problem: str, following: str) -> Response:
    return page("sign_in.html", status=status, next=following, problem=problem, over=False)
