"""CORS: pages of the origins that are named may call what games call, and nothing else.

A page that calls an operator's API would have to hold its key. No cookie is ever asked for, so a foreign page
has nothing of its visitor's; the browser keeps it from reading answers all the same.
"""

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

FOR_GAMES: Final = ("/v1/game/", "/v1/games/", "/v1/fairness/")
ALL_GAMES: Final = "/v1/games"
METHODS: Final = ("GET", "HEAD", "POST")
ASKED: Final = ("authorization", "content-type", "x-request-id")
TOLD: Final = ("Idempotent-Replayed", "Location", "Retry-After", "X-Request-Id")
REMEMBERED_S: Final = 600  # by a browser, of a preflight
ORIGIN: Final = b"origin"


class CrossOrigin:
    """Around the whole API, for a page reads refusals too: adds the headers to answers. What a browser asks
    first (a preflight) goes in like any call, so that it is limited like any, and `Preflights` answers it
    there. Calls without an origin cost a look at their headers."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._cors = _cors(app, origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _from_elsewhere(scope) or _is_preflight(scope):
            await self._app(scope, receive, send)
            return
        await self._cors.simple_response(scope, receive, send, request_headers=Headers(scope=scope))


class Preflights:
    """Inside, where calls that are too many no longer come: answers preflights, without a session."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._cors = _cors(app, origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_preflight(scope):
            await self._app(scope, receive, send)
            return
        answer = self._cors.preflight_response(request_headers=Headers(scope=scope))
        await answer(scope, receive, send)


def _cors(app: ASGIApp, origins: Sequence[str]) -> CORSMiddleware:
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=ASKED,
        expose_headers=TOLD,
        max_age=REMEMBERED_S,
    )


def _from_elsewhere(scope: Scope) -> bool:
    """Whether a page of another origin calls, for what it may have."""
    path = scope["path"]
    return any(name == ORIGIN for name, _ in scope["headers"]) and (
        path.startswith(FOR_GAMES) or path == ALL_GAMES
    )


def _is_preflight(scope: Scope) -> bool:
    return (
        scope["method"] == "OPTIONS"
        and _from_elsewhere(scope)
        and any(name == b"access-control-request-method" for name, _ in scope["headers"])
    )
