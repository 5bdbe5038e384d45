"""The edge middleware: what every request passes first. An id of its own, the body limit, and admission."""

import json
import logging
from functools import lru_cache
from typing import Any, Final
from uuid import uuid4

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.gateway.admission import Admission
from api.gateway.problems import CONTENT_TYPE, Problem, document
from api.gateway.rate_limits import RateLimits, too_many
from runtime import metrics
from runtime.unavailable import UNAVAILABLE, WORDS, Cause

BODY_LIMIT_BYTES: Final = 64 * 1024
REQUEST_ID_HEADER: Final = b"x-request-id"
# Whoever watches this process must hear from it above all when it is busy.
ALWAYS_ADMITTED: Final = frozenset({"/healthz", "/readyz"})
BETS: Final = ("POST", "/v1/game/rounds")
ANY_REQUEST_ID: Final = "0" * 32  # all ids have one length, so a refusal is made before its id is known

log = logging.getLogger(__name__)


class EdgeMiddleware:
    """Pure ASGI, outermost. Refuses what is too large before reading it whole, and what is too much before
    it costs anything: an admitted request is one that can be served well."""

    def __init__(self, app: ASGIApp, admission: Admission, limits: RateLimits | None = None) -> None:
        self._app = app
        self._admission = admission
        self._limits = limits or RateLimits()
        self._bets_refused = metrics.BETS_REFUSED.labels("overloaded")
        self._busy = UNAVAILABLE.labels(Cause.BUSY.value)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid4().hex
        address = self._limits.address_of(scope)
        scope.setdefault("state", {}).update(request_id=request_id, address=address)
        if scope["path"] not in ALWAYS_ADMITTED and (wait_s := self._limits.addresses.take(address)) > 0:
            problem = too_many(wait_s)
            await _refuse(send, request_id, problem.code, problem.members["retry_after"])
            return
        is_bet = (scope["method"], scope["path"]) == BETS
        full = None if scope["path"] in ALWAYS_ADMITTED else self._admission.full(bet=is_bet)
        if full is not None:
            self._busy.inc()
            if is_bet:
                self._bets_refused.inc()
            await _refuse(send, request_id, "overloaded", full.retry_after_s)
            return
        async with self._admission.serve(bet=is_bet):
            await self._serve(scope, _LimitedBody(receive), _Sender(send, request_id))

    async def _serve(self, scope: Scope, body: "_LimitedBody", sender: "_Sender") -> None:
        try:
            length, encoded = _declared(scope)
            if length > BODY_LIMIT_BYTES:
                raise _TooLarge
            if encoded:
                # A few compressed bytes can become gigabytes, so nothing here ever unpacks a body.
                await sender.refuse(Problem("unsupported-media-type", "Send the body without any encoding."))
                return
            await self._app(scope, body, sender)
        except _TooLarge:
            await sender.refuse(Problem("too-large", f"A body has at most {BODY_LIMIT_BYTES} bytes."))
        except ClientDisconnect:
            pass  # the client is gone, and its disconnect is no failure of ours
        except Exception:
            # Starlette has answered 500 already and raises again for the log, which belongs here.
            log.exception("request %s failed", sender.request_id)
            if not sender.started:
                await sender.refuse(Problem("internal"))


async def _refuse(send: Send, request_id: str, code: str, retry_after_s: int) -> None:
    """A flood is mostly refusals, so one costs no more than two messages."""
    status, headers, before, after = _refusal(code, retry_after_s)
    own_id = request_id.encode()
    headers = [*headers, (REQUEST_ID_HEADER, own_id)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": before + own_id + after})


@lru_cache
def _refusal(code: str, retry_after_s: int) -> tuple[int, list[tuple[bytes, bytes]], bytes, bytes]:
    """The status and headers of a refusal, and its body before and after the request's id."""
    words = f"{WORDS[Cause.BUSY]} " if code == "overloaded" else ""
    problem = Problem(code, f"{words}Try again after the time in Retry-After.")
    status, headers, body = document(problem, ANY_REQUEST_ID, retry_after_s=retry_after_s)
    content = json.dumps(body, separators=(",", ":")).encode()
    headers |= {"Content-Type": CONTENT_TYPE, "Content-Length": str(len(content))}
    before, after = content.split(ANY_REQUEST_ID.encode())
    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return status, named, before, after


class _TooLarge(BaseException):
    """Passes through the app's own error handlers, which would take an Exception for a bug."""


class _LimitedBody:
    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._seen = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > BODY_LIMIT_BYTES:
            raise _TooLarge
        return message


class _Sender:
    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
            message["headers"] = [*headers, (REQUEST_ID_HEADER, self.request_id.encode())]
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        status, headers, body = document(problem, self.request_id)
        await self._respond(status, {**headers, "content-type": CONTENT_TYPE}, body)

    async def _respond(self, status: int, headers: dict[str, str], body: dict[str, Any]) -> None:
        response = JSONResponse(body, status, headers=headers)
        await response({"type": "http"}, _no_body, self)


async def _no_body() -> Message:
    return {"type": "http.disconnect"}


def _declared(scope: Scope) -> tuple[int, bool]:
    """The body's length in bytes by its headers, 0 without one, and whether it is compressed."""
    length, encoded = 0, False
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            encoded = True
    return length, encoded
