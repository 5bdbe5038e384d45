"""Who is asking: the player behind a session token, or the operator behind an API key."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.problems import Problem
from api.services import Services
from contracts import failures
from contracts.sessions import SessionClaims
from contracts.views import ApiKeyView
from security.tokens import TokenExpired, TokenInvalid

SESSION_TOKEN = HTTPBearer(
    scheme_name="sessionToken", description="The token of a game session.", auto_error=False
)
_OPERATOR_KEY = HTTPBearer(
    scheme_name="operatorKey", description="An operator's API key, `crk_...`.", auto_error=False
)

OPERATOR_SCOPE = "operator"


# Dependencies are coroutines though most await nothing: a plain function would wait for a thread.
async def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


async def any_session(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(SESSION_TOKEN)],
    services: Annotated[Services, Depends(services)],
) -> SessionClaims:
    """The claims of a genuine token, also of an expired one: looking and resuming stay possible."""
    try:
        return services.tokens.verify(_presented(credentials, "a session token"))
    except TokenExpired as expired:
        return expired.claims
    except TokenInvalid:
        raise Problem("unauthenticated", "The session token is not valid.") from None


async def live_session(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(SESSION_TOKEN)],
    services: Annotated[Services, Depends(services)],
) -> SessionClaims:
    """The claims of a token that may still bet."""
    try:
        return services.tokens.verify(_presented(credentials, "a session token"))
    except TokenExpired:
        raise Problem(failures.SESSION_EXPIRED, "Ask the operator for a new session.") from None
    except TokenInvalid:
        raise Problem("unauthenticated", "The session token is not valid.") from None


async def operator(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_OPERATOR_KEY)],
    services: Annotated[Services, Depends(services)],
) -> ApiKeyView:
    """The key that the request presented, found and in scope."""
    key = await services.operator_keys.authenticate(_presented(credentials, "an API key"))
    if key is None:
        raise Problem("unauthenticated", "The API key is not valid.")
    if key.scope != OPERATOR_SCOPE:
        raise Problem("forbidden", "This key has another scope.")
    return key


def _presented(credentials: HTTPAuthorizationCredentials | None, what: str) -> str:
    if credentials is None:
        raise Problem("unauthenticated", f"Send {what} as `Authorization: Bearer ...`.")
    return credentials.credentials


AnySession = Annotated[SessionClaims, Depends(any_session)]
LiveSession = Annotated[SessionClaims, Depends(live_session)]
Operator = Annotated[ApiKeyView, Depends(operator)]
Deps = Annotated[Services, Depends(services)]
