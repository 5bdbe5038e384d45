"""The edge middleware: what every request passes first. An id of its own, the body limit, and admission."""

import asyncio
import json
import logging
import time
from functools import lru_cache
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.gateway import http_metrics, request_ids
from api.gateway.admission import Admission, Permits
from api.gateway.problems import CONTENT_TYPE, Problem, document
from api.gateway.rate_limits import BYTES_A_TOKEN, RateLimits, too_many
from runtime import metrics
from runtime.unavailable import UNAVAILABLE, WORDS, Cause

# What a body may have at most: what its call needs, for reading one costs the time of everybody else.
BODY_LIMIT_BYTES: Final = 8 * 1024
BET_LIMIT_BYTES: Final = 4 * 1024
EVENTS_LIMIT_BYTES: Final = 64 * 1024
REQUEST_ID_HEADER: Final = b"x-request-id"
# Whoever watches this process must hear from it above all when it is busy.
ALWAYS_ADMITTED: Final = frozenset({"/healthz", "/readyz"})
BETS: Final = ("POST", "/v1/game/rounds")
_BODY_LIMITS: Final = {BETS[1]: BET_LIMIT_BYTES, "/v1/game/events": EVENTS_LIMIT_BYTES}
ANY_REQUEST_ID: Final = "0" * 32  # a refusal is made before its id is known
# What an address asks without a token or key, and what it is refused, must not fill the process: such a call
# counts as so many. A platform's own calls, which may come from one address, have a key.
COUNTS_AS: Final = 20
REFUSED: Final = frozenset({401, 413, 429})
# Who asks too often is told so after a pause. It holds its own connection meanwhile, and no permit.
PAUSE_S: Final = 0.5
_CREDENTIALS: Final = b"authorization"

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
        request_id, began = request_ids.begin(_name_given(scope)), time.perf_counter()
        address = self._limits.address_of(scope)
        scope.setdefault("state", {}).update(request_id=request_id, address=address)
        if scope["path"] not in ALWAYS_ADMITTED and (wait_s := self._take(scope, address)) > 0:
            problem = too_many(wait_s)
            await asyncio.sleep(PAUSE_S)
            await _refuse(scope, send, request_id, problem.code, problem.members["retry_after"])
            return
        is_bet = (scope["method"], scope["path"]) == BETS
        if (full := self._full(scope, bet=is_bet)) is not None:
            await self._refuse_full(scope, send, request_id, full, bet=is_bet)
            return
        sender = _Sender(scope, send, request_id, began, self._limits)
        try:
            # Before it takes a permit: who sends slowly holds none.
            body = await self._body(scope, receive, address)
        except Problem as problem:
            await sender.refuse(problem)
            return
        except ClientDisconnect:
            return
        if (full := self._full(scope, bet=is_bet)) is not None:  # meanwhile
            await self._refuse_full(scope, send, request_id, full, bet=is_bet)
            return
        with self._admission.requests.one() as permit:
            scope["state"]["permit"] = permit
            await self._serve(scope, body, sender)

    def _take(self, scope: Scope, address: str) -> float:
        known = any(name == _CREDENTIALS for name, _ in scope["headers"])
        return self._limits.addresses.take(address, 1 if known else COUNTS_AS)

    def _full(self, scope: Scope, *, bet: bool) -> Permits | None:
        return None if scope["path"] in ALWAYS_ADMITTED else self._admission.full(bet=bet)

    async def _refuse_full(
        self, scope: Scope, send: Send, request_id: str, full: Permits, *, bet: bool
    ) -> None:
        self._busy.inc()
        if bet:
            self._bets_refused.inc()
        await _refuse(scope, send, request_id, "overloaded", full.retry_after_s)

    async def _body(self, scope: Scope, receive: Receive, address: str) -> Receive:
        """Reads a body that is declared, when it is its turn. Its size counts: for its address here, and for
        its session later. Raises Problem, and ClientDisconnect."""
        limit = _BODY_LIMITS.get(scope["path"], BODY_LIMIT_BYTES)
        length, encoded = _declared(scope)
        if encoded:
            # A few compressed bytes can become gigabytes, so nothing here ever unpacks a body.
            raise Problem("unsupported-media-type", "Send the body without any encoding.")
        if length > limit:
            raise _too_large(limit)
        if not length:
            return _LimitedBody(receive, limit)
        body = await _whole(receive, limit)
        scope["state"]["body_bytes"] = len(body)
        tokens = len(body) // BYTES_A_TOKEN
        if tokens and (wait_s := self._limits.addresses.take(address, tokens)) > 0:
            raise too_many(wait_s)
        await self._admission.large.wait(address, len(body))
        return _ReadBody(body, receive)

    async def _serve(self, scope: Scope, body: Receive, sender: "_Sender") -> None:
        try:
            await self._app(scope, body, sender)
        except _TooLarge as problem:
            await sender.refuse(_too_large(problem.limit))
        except ClientDisconnect:
            pass  # the client is gone, and its disconnect is no failure of ours
        except Exception:
            # Starlette has answered 500 already and raises again for the log, which belongs here.
            log.exception("request %s failed", sender.request_id)
            if not sender.started:
                await sender.refuse(Problem("internal"))


async def _refuse(scope: Scope, send: Send, request_id: str, code: str, retry_after_s: int) -> None:
    """A flood is mostly refusals, so one costs no more than two messages."""
    status, headers, before, after = _refusal(code, retry_after_s)
    http_metrics.refused(scope, code, status, BETS[1] if scope["path"] == BETS[1] else None)
    own_id = request_id.encode()
    length = str(len(before) + len(own_id) + len(after)).encode()
    headers = [*headers, (b"content-length", length), (REQUEST_ID_HEADER, own_id)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": before + own_id + after})


@lru_cache
def _refusal(code: str, retry_after_s: int) -> tuple[int, list[tuple[bytes, bytes]], bytes, bytes]:
    """The status and headers of a refusal, and its body before and after the request's id."""
    words = f"{WORDS[Cause.BUSY]} " if code == "overloaded" else ""
    problem = Problem(code, f"{words}Try again after the time in Retry-After.")
    status, headers, body = document(problem, ANY_REQUEST_ID, retry_after_s=retry_after_s)
    content = json.dumps(body, separators=(",", ":")).encode()
    headers |= {"Content-Type": CONTENT_TYPE}
    before, after = content.split(ANY_REQUEST_ID.encode())
    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return status, named, before, after


def _too_large(limit: int) -> Problem:
    return Problem("too-large", f"The body of this call has at most {limit} bytes.")


class _TooLarge(BaseException):
    """Passes through the app's own error handlers, which would take an Exception for a bug."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class _LimitedBody:
    """Of a request that declares no body: what comes all the same is limited too."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit = receive, limit
        self._seen = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._limit:
            raise _TooLarge(self._limit)
        return message


class _ReadBody:
    """A body that was read, for the app to receive, and then what else comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        message = {"type": "http.request", "body": self._body, "more_body": False}
        self._body = None
        return message


async def _whole(receive: Receive, limit: int) -> bytes:
    """Raises Problem when it is more than `limit` bytes, and ClientDisconnect."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += bytes(message.get("body", b""))
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return body


class _Sender:
    def __init__(self, scope: Scope, send: Send, request_id: str, began: float, limits: RateLimits) -> None:
        self._scope, self._send, self._limits = scope, send, limits
        self.request_id = request_id
        self._began = began
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if message["status"] in REFUSED:
                self._limits.addresses.charge(self._scope["state"]["address"], COUNTS_AS - 1)
            http_metrics.answered(self._scope, message["status"], time.perf_counter() - self._began)
            headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
            message["headers"] = [*headers, (REQUEST_ID_HEADER, self.request_id.encode())]
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        metrics.of_problem(problem.code, "http").inc()
        status, headers, body = document(problem, self.request_id)
        await self._respond(status, {**headers, "content-type": CONTENT_TYPE}, body)

    async def _respond(self, status: int, headers: dict[str, str], body: dict[str, Any]) -> None:
        response = JSONResponse(body, status, headers=headers)
        await response({"type": "http"}, _no_body, self)


async def _no_body() -> Message:
    return {"type": "http.disconnect"}


def _name_given(scope: Scope) -> str | None:
    """What the caller calls its request."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID_HEADER:
            given: str = value.decode("latin-1")
            return given
    return None


def _declared(scope: Scope) -> tuple[int, bool]:
    """The body's length in bytes by its headers, 1 for one that does not say it, 0 without one; and whether
    it is compressed."""
    length, encoded = 0, False
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"transfer-encoding":
            length = length or 1
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            encoded = True
    return length, encoded
