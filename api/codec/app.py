"""Temporal's codec server: opens payloads for its web interface and tools, and records who had how many
opened, and never what was in them."""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.codec.access import Access, Reader, Refused, nothing_here
from security.payload_reader import (
    PAYLOADS_LIMIT,
    Converted,
    PayloadReader,
    PayloadsMalformed,
    TooManyPayloads,
)

DECODE: Final = "decode"
ENCODE: Final = "encode"
# Temporal takes no message over 4 MiB; in base64 that is a third more.
BODY_LIMIT_BYTES: Final = 6 * 1024 * 1024
BODY_S: Final = 20.0
HEADERS: Final = ("content-type", "x-namespace", "authorization", "authorization-extras")
NAMESPACE: Final = re.compile(r"[\w.-]{1,255}", re.ASCII)
OUTCOMES: Final = {DECODE: ("opened", "plain", "unreadable"), ENCODE: ("sealed",)}
REASONS: Final = (
    *("origin", "unauthenticated", "forbidden", "not-found", "method", "too-many", "too-large", "slow"),
    *("malformed", "unavailable"),
)

CODEC_PAYLOADS: Final = Counter(
    "croupier_codec_payloads_total", "Payloads that came to the codec server.", ["call", "outcome"]
)
CODEC_REFUSED: Final = Counter(
    "croupier_codec_requests_refused_total", "Requests that the codec server did not answer.", ["reason"]
)
for _call, _outcomes in OUTCOMES.items():
    for _outcome in _outcomes:
        CODEC_PAYLOADS.labels(_call, _outcome)
for _reason in REASONS:
    CODEC_REFUSED.labels(_reason)

# The record of access is written whatever level the logs have.
audit = logging.getLogger("croupier.codec.audit")
audit.setLevel(logging.INFO)


def create_app(payloads: PayloadReader, access: Access, origins: Sequence[str]) -> ASGIApp:
    """`POST /decode` and `/encode` with a token, and below the path that needs none. Browsers are answered
    for pages of `origins` alone."""
    server = CodecServer(payloads, access)
    routes = [
        Route(f"{below}/{call}", answer, methods=["POST"])
        for below in ("", "/{path}")
        for call, answer in ((DECODE, server.decode), (ENCODE, server.encode))
    ]
    app = Starlette(routes=routes, exception_handlers={Refused: _refusal, HTTPException: _no_such_call})
    app.router.redirect_slashes = False
    cross_origin = CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["POST"],
        allow_headers=HEADERS,
        # A page of a public network asks first whether it may reach a private one.
        allow_private_network=True,
    )
    return ExactOrigins(cross_origin, origins)


class CodecServer:
    """The two calls. What a caller sends, and what came out of it, is neither logged nor kept."""

    def __init__(self, payloads: PayloadReader, access: Access) -> None:
        self._payloads, self._access = payloads, access

    async def decode(self, request: Request) -> Response:
        """Raises Refused."""
        return await self._answer(request, DECODE, self._payloads.decode, await self._reader(request))

    async def encode(self, request: Request) -> Response:
        """Raises Refused."""
        reader = await self._reader(request)
        if reader.scope != "admin":
            audit.info("refused to %s for %s (%s)", ENCODE, reader.name, reader.scope)
            raise Refused(403, "forbidden", "Payloads are sealed for the scope admin alone.")
        return await self._answer(request, ENCODE, self._payloads.encode, reader)

    async def _reader(self, request: Request) -> Reader:
        """Asked before the body is read."""
        client, path = request.scope["client"], request.path_params.get("path")
        if path is None:
            address = client[0] if client else ""
            return await self._access.by_token(request.headers.get("authorization"), address)
        return await self._access.by_path(path, _pair(client), _pair(request.scope["server"]))

    async def _answer(
        self, request: Request, call: str, convert: Callable[[bytes], Converted], reader: Reader
    ) -> Response:
        body = await _body(request)
        try:
            # Beside the loop, so that others are answered meanwhile.
            converted = await asyncio.to_thread(convert, body)
        except PayloadsMalformed:
            raise Refused(400, "malformed", 'The body is not {"payloads": [...]} in proto3 JSON.') from None
        except TooManyPayloads:
            text = f"More than {PAYLOADS_LIMIT:,} payloads: send fewer at once."
            raise Refused(413, "too-large", text) from None
        for outcome, count in converted.outcomes.items():
            CODEC_PAYLOADS.labels(call, outcome).inc(count)
        audit.info(
            "%s of %d payloads of namespace %s for %s (%s): %s",
            *(call, converted.outcomes.total(), _namespace(request), reader.name, reader.scope),
            ", ".join(f"{count} {outcome}" for outcome, count in sorted(converted.outcomes.items())),
        )
        return Response(converted.text, media_type="application/json", headers={"cache-control": "no-store"})


class ExactOrigins:
    """Refuses browsers' requests for pages of other origins, before anything is looked at, and with no header
    that would let the page read why."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app, self._origins = app, frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = [value for name, value in scope.get("headers", ()) if name == b"origin"]
        if self._origins.issuperset(given):
            await self._app(scope, receive, send)
            return
        refused = Refused(403, "origin", "This origin is none of codec_origins.")
        await _refused(refused)(scope, receive, send)


async def _refusal(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    return _refused(refused)


async def _no_such_call(request: Request, raised: Exception) -> Response:
    """What the router does not know."""
    assert isinstance(raised, HTTPException)
    if raised.status_code != 405:
        return _refused(nothing_here())
    return _refused(Refused(405, "method", "Only POST is answered here.", headers={"allow": "POST"}))


def _refused(refused: Refused) -> Response:
    CODEC_REFUSED.labels(refused.reason).inc()
    body = json.dumps({"error": str(refused)})
    return Response(body, refused.status, headers=refused.headers, media_type="application/json")


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > BODY_LIMIT_BYTES:
                    raise Refused(413, "too-large", "The body is too large: send fewer payloads at once.")
    except TimeoutError:
        raise Refused(408, "slow", "The body did not arrive in time.") from None
    except ClientDisconnect:
        raise Refused(400, "malformed", "The body did not arrive whole.") from None
    return bytes(body)


def _namespace(request: Request) -> str:
    """As the caller names it; what is no name of one is not repeated."""
    named = request.headers.get("x-namespace", "")
    return named if NAMESPACE.fullmatch(named) else "-"


def _pair(address: Sequence[object] | None) -> tuple[str, int] | None:
    """ASGI has no port for a socket of another kind."""
    match address:
        case (str(host), int(port)):
            return host, port
        case _:
            return None
