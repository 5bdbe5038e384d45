"""Who is asking: the player behind a session token, or the operator behind an API key, and how often."""

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from api.limits import NO_ADDRESS
from api.problems import Problem
from api.services import Services
from contracts import failures
from contracts.sessions import SessionClaims
from contracts.views import ApiKeyView
from runtime.services import LookUpRefused
from security.api_keys import KeyScope
from security.tokens import TokenExpired, TokenInvalid

SESSION_TOKEN = HTTPBearer(
    scheme_name="sessionToken", description="The token of a game session.", auto_error=False
)
_OPERATOR_KEY = HTTPBearer(
    scheme_name="operatorKey", description="An operator's API key, `crk_...`.", auto_error=False
)


# Dependencies are coroutines though most await nothing: a plain function would wait for a thread.
async def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


async def any_session(
    request: HTTPConnection,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(SESSION_TOKEN)],
    services: Annotated[Services, Depends(services)],
) -> SessionClaims:
    """The claims of a genuine token, also of an expired one: looking and resuming stay possible."""
    token = _presented(request, credentials, services, "a session token")
    try:
        claims = services.tokens.verify(token)
    except TokenExpired as expired:
        claims = expired.claims
    except TokenInvalid:
        raise _refused(request, services, "The session token is not valid.") from None
    services.limits.admit_session(claims.session_id)
    return claims


async def live_session(
    request: HTTPConnection,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(SESSION_TOKEN)],
    services: Annotated[Services, Depends(services)],
) -> SessionClaims:
    """The claims of a token that may still bet."""
    token = _presented(request, credentials, services, "a session token")
    try:
        claims = services.tokens.verify(token)
    except TokenExpired:
        raise Problem(failures.SESSION_EXPIRED, "Ask the operator for a new session.") from None
    except TokenInvalid:
        raise _refused(request, services, "The session token is not valid.") from None
    services.limits.admit_session(claims.session_id)
    return claims


class KeyOf:
    """A dependency: the key that the request presented, found and of one of `scopes`."""

    def __init__(self, *scopes: KeyScope) -> None:
        self.scopes: Final = frozenset(scopes)

    async def __call__(
        self,
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_OPERATOR_KEY)],
        services: Annotated[Services, Depends(services)],
    ) -> ApiKeyView:
        text = _presented(request, credentials, services, "an API key")
        address = _address(request)
        try:
            key = await services.operator_keys.authenticate(
                text, may_look_up=lambda: services.limits.may_fail(address)
            )
        except LookUpRefused:
            key = None
        if key is None:
            raise _refused(request, services, "The API key is not valid.")
        services.limits.admit_key(key.key_id)
        if key.scope not in self.scopes:
            raise Problem("forbidden", "This key has another scope.")
        return key


def _presented(
    request: HTTPConnection,
    credentials: HTTPAuthorizationCredentials | None,
    services: Services,
    what: str,
) -> str:
    if credentials is None:
        raise _refused(request, services, f"Send {what} as `Authorization: Bearer ...`.")
    return credentials.credentials


def _refused(request: HTTPConnection, services: Services, detail: str) -> Problem:
    """What to raise. Whoever is genuine is always served, whatever others at the same address do; only
    strangers are told to wait."""
    services.limits.count_failure(_address(request))
    return Problem("unauthenticated", detail)


def _address(request: HTTPConnection) -> str:
    """As the door has found it."""
    address: str = getattr(request.state, "address", NO_ADDRESS)
    return address


AnySession = Annotated[SessionClaims, Depends(any_session)]
LiveSession = Annotated[SessionClaims, Depends(live_session)]
# A route says who may call it by the type of its `operator`. A game server opens and ends sessions and reads
# rounds, sessions and events; it moves no money, decides about no round, and switches nothing.
GameServer = Annotated[ApiKeyView, Depends(KeyOf("game", "operator", "admin"))]
Operator = Annotated[ApiKeyView, Depends(KeyOf("operator", "admin"))]
Admin = Annotated[ApiKeyView, Depends(KeyOf("admin"))]
Deps = Annotated[Services, Depends(services)]
