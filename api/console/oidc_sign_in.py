"""Signing in at an issuer: the way there, and the way back."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api.console.console import Console, of
from api.console.operator_api import ApiAway, ApiRefused
from api.console.pages import message, page, redirect
from api.console.party import BEGUN_LIMIT_S, Grant, Party, SignInRefused, cookie_of
from api.console.sign_in import begin_session, ours, refused, too_many
from api.oidc.issuer import IssuerAway
from api.oidc.people import NoRole
from storage import operators

# Of this sign-in alone, and for its time. It comes with the way back from the issuer's site, which a strict
# one does not, and it opens nothing.
ATTRIBUTES: Final = "Path=/console/sign-in; Secure; HttpOnly; SameSite=Lax"
NO_ISSUER: Final = "No issuer is set here: sign in with an API key."
API_TAKES_NONE: Final = (
    "The API takes no tokens of this issuer. Whoever runs it sets oidc_issuer and oidc_audience there too."
)
NO_OPERATOR: Final = "The issuer says that you are of an operator that there is not."


async def to_issuer(request: Request) -> Response:
    """Sends the browser there, with a cookie to come back with."""
    party, following = of(request).party, ours(request.query_params.get("next", ""))
    if party is None:
        return message("No such page", NO_ISSUER, status=404)
    try:
        begun = await party.begin(following)
    except IssuerAway as away:
        return refused(request, 503, str(away), following)
    answer = redirect(begun.url)
    answer.headers["set-cookie"] = f"{begun.cookie}={begun.sealed}; Max-Age={BEGUN_LIMIT_S}; {ATTRIBUTES}"
    return answer


async def from_issuer(request: Request) -> Response:
    """Begins a session for whoever comes back with a code. Its cookie is strict, and browsers do not send it
    on while they are led from another site: so a page without content asks for the page that follows."""
    console = of(request)
    if console.party is None:
        return message("No such page", NO_ISSUER, status=404)
    cookie = cookie_of(request.query_params.get("state", ""))
    answer = await _finished(request, console, console.party, request.cookies.get(cookie, ""))
    answer.headers.append("set-cookie", f"{cookie}=; Max-Age=0; {ATTRIBUTES}")
    # The address has the code. With `no-referrer` browsers would send no origin with this page's form.
    answer.headers["referrer-policy"] = "origin"
    return answer


async def _finished(request: Request, console: Console, party: Party, sealed: str) -> Response:
    address = request.client.host if request.client else ""
    if not console.failures.has_token(address):
        return too_many(request, "")
    try:
        grant, following = await party.finish(request.query_params, sealed)
        return await _begun(request, console, grant, following)
    except IssuerAway as away:
        return refused(request, 503, str(away), "")
    except ApiAway as away:
        return refused(request, 503, str(away), "")
    except ApiRefused as problem:
        return refused(request, problem.status, str(problem), "")
    except NoRole as problem:
        return refused(request, 403, str(problem), "")
    except SignInRefused as problem:
        console.failures.take(address)
        return refused(request, 401, str(problem), "")


async def _begun(request: Request, console: Console, grant: Grant, following: str) -> Response:
    """Raises ApiAway, ApiRefused and NoRole."""
    person = grant.person
    operator = await operators.find(console.pool, person.operator_id)
    if operator is None:
        raise NoRole(NO_OPERATOR)
    if not await console.api.takes(grant.access):
        return refused(request, 503, API_TAKES_NONE, following)
    answer = page("arrived.html", here=following)
    begin_session(
        request,
        answer,
        key=grant.access,
        operator_id=operator.operator_id,
        operator_name=operator.name,
        scope=person.scope,
        grant=grant,
    )
    return answer
