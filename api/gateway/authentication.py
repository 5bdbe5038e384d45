"""Authenticates callers: the player behind a session token, or the operator behind an API key."""

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.gateway.admission import Permit
from api.gateway.caller import Caller
from api.gateway.problems import Problem
from api.gateway.rate_limits import NO_ADDRESS
from api.oidc.issuer import IssuerAway
from api.oidc.people import NoRole
from api.oidc.tokens import TokenRefused, looks_like_one
from api.operator.people import People
from api.operator.service import LookUpRefused
from api.pages.demo_sessions import DemoSessions
from api.services import Services
from contracts import actors, failures
from contracts.sessions import SessionClaims
from contracts.views import OperatorCaller
from security.api_keys import PLATFORM, KeyScope, PlatformScope
from security.tokens import TokenExpired, TokenInvalid

SESSION_TOKEN = HTTPBearer(
    scheme_name="sessionToken", description="The token of a game session.", auto_error=False
)
_OPERATOR_KEY = HTTPBearer(
    scheme_name="operatorKey",
    description="An operator's API key, `crk_...`; where an issuer is set, also a person's token of it.",
    auto_error=False,
)
_LOBBY_KEY = HTTPBearer(scheme_name="lobbyKey", auto_error=False)
_PLATFORM_KEY = HTTPBearer(
    scheme_name="platformKey", description="An API key of the platform, `crk_...`.", auto_error=False
)
DISABLED: Final = "The operator is disabled: its keys only read."
ONLY_READS: Final = "A person of the scope game only reads."
NO_LOBBY: Final = "There is no lobby here: `./croupier up` has one, and prints its address."
Credentials = HTTPAuthorizationCredentials | None


def session_claims(
    token: str, services: Services, *, live: bool, address: str | None, size: int = 0, counted: bool = False
) -> SessionClaims:
    """The claims of a genuine token, whatever transport it came by. An expired one reads and resumes; `live`
    is asked of a bet. A token that is not genuine counts against its `address`, where there is one. The call,
    of `size` bytes, counts for its session, unless it is `counted` already. Raises Problem."""
    try:
        claims = services.tokens.verify(token)
    except TokenExpired as expired:
        if live:
            raise Problem(failures.SESSION_EXPIRED, "Ask the operator for a new session.") from None
        claims = expired.claims
    except TokenInvalid:
        raise _refused(address, services, "The session token is not valid.") from None
    if not counted:
        services.limits.admit_session(claims.session_id, size)
    return claims


# Dependencies are coroutines though most await nothing: a plain function would wait for a thread.
async def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


async def any_session(
    request: Request,
    credentials: Annotated[Credentials, Depends(SESSION_TOKEN)],
    services: Annotated[Services, Depends(services)],
) -> Caller:
    """The session of a genuine token, also of an expired one: reading and resuming stay possible."""
    return _caller(request, credentials, services, live=False)


async def live_session(
    request: Request,
    credentials: Annotated[Credentials, Depends(SESSION_TOKEN)],
    services: Annotated[Services, Depends(services)],
) -> Caller:
    """The session of a token that may still bet."""
    return _caller(request, credentials, services, live=True)


def _caller(request: Request, credentials: Credentials, services: Services, *, live: bool) -> Caller:
    token = _presented(request, credentials, services, "a session token")
    size: int = getattr(request.state, "body_bytes", 0)
    claims = session_claims(token, services, live=live, address=_address(request), size=size)
    _belongs_to(request, claims.operator_id)
    return Caller(claims, services, request.state.request_id)


class KeyOf:
    """A dependency: whoever has the key that the request presented, or is the person of its token, with one
    of `scopes`. A disabled operator's keys and people only read."""

    def __init__(self, *scopes: KeyScope | PlatformScope) -> None:
        self.scopes: Final = frozenset(scopes)

    async def __call__(
        self,
        request: Request,
        credentials: Annotated[Credentials, Depends(_OPERATOR_KEY)],
        services: Annotated[Services, Depends(services)],
    ) -> OperatorCaller:
        text = _presented(request, credentials, services, "an API key")
        if services.people is not None and looks_like_one(text):
            caller = await _person(request, text, services, services.people)
        else:
            caller = await _key_holder(text, services, _address(request))
        services.limits.admit_key(caller.actor)
        _belongs_to(request, caller.operator_id)
        if caller.scope not in self.scopes:
            raise Problem("forbidden", "This key or token has another scope.")
        if caller.disabled and request.method != "GET":
            raise Problem("forbidden", DISABLED)
        return caller


async def _key_holder(text: str, services: Services, address: str) -> OperatorCaller:
    try:
        key = await services.operator_keys.authenticate(
            text, may_look_up=lambda: services.limits.may_fail(address)
        )
    except LookUpRefused:
        key = None
    if key is None:
        raise _refused(address, services, "The API key is not valid.")
    named = actors.by_platform if key.scope == PLATFORM else actors.by_key
    return OperatorCaller(
        actor=named(key.key_id),
        operator_id=key.operator_id,
        scope=key.scope,
        disabled=key.disabled,
        brand=key.brand,
    )


async def _person(request: Request, token: str, services: Services, people: People) -> OperatorCaller:
    """Keys of the scope `game` are servers', which open sessions; a person of that scope only looks."""
    address = _address(request)
    try:
        person = await people.authenticate(token, may_ask=lambda: services.limits.may_fail(address))
    except TokenRefused as refused:
        raise _refused(address, services, str(refused)) from None
    except IssuerAway as away:
        raise Problem("overloaded", str(away)) from None
    except NoRole as problem:
        raise Problem("forbidden", str(problem)) from None
    if person.scope == "game" and request.method != "GET":
        raise Problem("forbidden", ONLY_READS)
    return person


async def lobby(
    request: Request,
    credentials: Annotated[Credentials, Depends(_LOBBY_KEY)],
    services: Annotated[Services, Depends(services)],
) -> DemoSessions:
    """What the lobby's key opens. Raises the problem `not-found` where there is no lobby."""
    if services.demo_sessions is None:
        raise Problem("not-found", NO_LOBBY)
    key = _presented(request, credentials, services, "the lobby's key")
    if not services.demo_sessions.opened_by(key):
        raise _refused(_address(request), services, "The lobby's key is not valid.")
    return services.demo_sessions


class PlatformKey(KeyOf):
    """The same for a key of the platform, which is described as another kind of key."""

    async def __call__(
        self,
        request: Request,
        credentials: Annotated[Credentials, Depends(_PLATFORM_KEY)],
        services: Annotated[Services, Depends(services)],
    ) -> OperatorCaller:
        return await super().__call__(request, credentials, services)


def _presented(request: Request, credentials: Credentials, services: Services, what: str) -> str:
    if credentials is None:
        raise _refused(_address(request), services, f"Send {what} as `Authorization: Bearer ...`.")
    return credentials.credentials


def _refused(address: str | None, services: Services, detail: str) -> Problem:
    """The problem to raise. A genuine caller is always served, whatever others at the same address do; only
    unauthenticated clients get a problem that makes them wait."""
    if address is not None:
        services.limits.count_failure(address)
    return Problem("unauthenticated", detail)


def _belongs_to(request: Request, operator_id: str) -> None:
    """Counts the request for its operator. Raises ShareFull, a Problem."""
    permit: Permit | None = getattr(request.state, "permit", None)  # as the edge middleware took it
    if permit is not None:
        permit.belongs_to(operator_id)


def _address(request: Request) -> str:
    """As the edge middleware has found it."""
    address: str = getattr(request.state, "address", NO_ADDRESS)
    return address


AnySession = Annotated[Caller, Depends(any_session)]
LiveSession = Annotated[Caller, Depends(live_session)]
# A route says who may call it by the type of its `operator`. A game server opens and ends sessions and reads
# rounds, sessions and events; it moves no money, decides about no round, and switches nothing.
GameServer = Annotated[OperatorCaller, Depends(KeyOf("game", "operator", "admin"))]
Operator = Annotated[OperatorCaller, Depends(KeyOf("operator", "admin"))]
Admin = Annotated[OperatorCaller, Depends(KeyOf("admin"))]
# Whoever runs the casino. The key has no operator, and no route takes both kinds.
Platform = Annotated[OperatorCaller, Depends(PlatformKey(PLATFORM))]
Deps = Annotated[Services, Depends(services)]
