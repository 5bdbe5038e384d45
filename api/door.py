"""What every request passes first: an id of its own, the body limit, and admission."""

import logging
from typing import Any, Final
from uuid import uuid4

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import CONTENT_TYPE, Problem, document
from runtime import metrics

BODY_LIMIT_BYTES: Final = 64 * 1024
REQUEST_ID_HEADER: Final = b"x-request-id"
# Whoever watches this process must hear from it above all when it is busy.
ALWAYS_ADMITTED: Final = frozenset({"/healthz", "/readyz"})

log = logging.getLogger(__name__)


class Door:
    """Pure ASGI, outermost. Refuses what is too large before reading it whole, and what is too much before
    it costs anything: an admitted request is one that can be served well."""

    def __init__(self, app: ASGIApp, *, max_open_requests: int) -> None:
        self._app = app
        self._max_open_requests = max_open_requests
        self._open_requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        sender = _Sender(send, request_id)
        if self._open_requests >= self._max_open_requests and scope["path"] not in ALWAYS_ADMITTED:
            await sender.refuse(Problem("overloaded", "Try again after the time in Retry-After."))
            return
        self._open_requests += 1
        metrics.OPEN_REQUESTS.set(self._open_requests)
        try:
            await self._serve(scope, _LimitedBody(receive), sender)
        finally:
            self._open_requests -= 1
            metrics.OPEN_REQUESTS.set(self._open_requests)

    async def _serve(self, scope: Scope, body: "_LimitedBody", sender: "_Sender") -> None:
        try:
            if _declared_length(scope) > BODY_LIMIT_BYTES:
                raise _TooLarge
            await self._app(scope, body, sender)
        except _TooLarge:
            await sender.refuse(Problem("too-large", f"A body has at most {BODY_LIMIT_BYTES} bytes."))
        except Exception:
            # Starlette has answered 500 already and raises again for the log, which belongs here.
            log.exception("request %s failed", sender.request_id)
            if not sender.started:
                await sender.refuse(Problem("internal"))


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


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
