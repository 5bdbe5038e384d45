"""What every request passes first: an id of its own, the body limit, and admission."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from math import ceil
from typing import Any, Final
from uuid import uuid4

from prometheus_client import Gauge
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import CONTENT_TYPE, RETRY_AFTER_S, Problem, document
from runtime import metrics

BODY_LIMIT_BYTES: Final = 64 * 1024
REQUEST_ID_HEADER: Final = b"x-request-id"
# Whoever watches this process must hear from it above all when it is busy.
ALWAYS_ADMITTED: Final = frozenset({"/healthz", "/readyz"})
BETS: Final = ("POST", "/v1/game/rounds")
TURN_S: Final = 1.0
RETRY_AFTER_LIMIT_S: Final = 30
RECENT: Final = 0.05  # the share of the newest request in the mean of how long requests take
ANY_REQUEST_ID: Final = "0" * 32  # all ids have one length, so a refusal is made before its id is known

log = logging.getLogger(__name__)


class Door:
    """Pure ASGI, outermost. Refuses what is too large before reading it whole, and what is too much before
    it costs anything: an admitted request is one that can be served well. Bets have a smaller limit of their
    own, so that a flood of them delays neither those admitted nor any read, and of those admitted only a few
    are under way at once."""

    def __init__(
        self, app: ASGIApp, *, max_open_requests: int, max_open_bets: int, max_running_bets: int
    ) -> None:
        self._app = app
        self._requests = _Places(max_open_requests, metrics.OPEN_REQUESTS)
        self._bets = _Places(max_open_bets, metrics.OPEN_BETS)
        self._turns = _Turns(max_running_bets)
        self._bets_refused = metrics.BETS_REFUSED.labels("overloaded")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        is_bet = (scope["method"], scope["path"]) == BETS
        if (full := self._full_for(scope["path"], is_bet)) is not None:
            if is_bet:
                self._bets_refused.inc()
            await _refuse(send, request_id, full.retry_after_s)
            return
        serve = self._serve_bet if is_bet else self._serve
        with self._requests.one():
            await serve(scope, _LimitedBody(receive), _Sender(send, request_id))

    def _full_for(self, path: str, is_bet: bool) -> "_Places | None":
        """What has no place left for such a request."""
        if is_bet and self._bets.full:
            return self._bets
        return self._requests if self._requests.full and path not in ALWAYS_ADMITTED else None

    async def _serve_bet(self, scope: Scope, body: "_LimitedBody", sender: "_Sender") -> None:
        with self._bets.one():
            async with self._turns.one():
                await self._serve(scope, body, sender)

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


class _Places:
    """A limited number of places, and how long each was lately taken for."""

    def __init__(self, limit: int, gauge: Gauge) -> None:
        self._limit, self._gauge = limit, gauge
        self._taken = 0
        self._mean_s = 0.0

    @property
    def full(self) -> bool:
        return self._taken >= self._limit

    @property
    def retry_after_s(self) -> int:
        """Whole seconds until those inside are served, as far as the last ones tell: when each stays for the
        mean time, all that are inside now have left after it."""
        return min(max(ceil(self._mean_s), RETRY_AFTER_S), RETRY_AFTER_LIMIT_S)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Takes a place, and gives it back however the block ends."""
        began = time.monotonic()
        self._taken += 1
        self._gauge.set(self._taken)
        try:
            yield
        finally:
            self._taken -= 1
            self._gauge.set(self._taken)
            self._mean_s += RECENT * (time.monotonic() - began - self._mean_s)


class _Turns:
    """Lets a few bets at a time go on, in the order of their arrival. More of them at once are no faster:
    each round would only take longer, until it runs out of the time that the fast path gives it and goes the
    expensive way. Waiting here costs nothing."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A turn for as long as the block takes, but at most TURN_S: what takes longer waits for a service,
        and must not keep others waiting who may need another one."""
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                self._free.release()

        await self._free.acquire()
        limit = asyncio.get_running_loop().call_later(TURN_S, give_back)
        try:
            yield
        finally:
            limit.cancel()
            give_back()


async def _refuse(send: Send, request_id: str, retry_after_s: int) -> None:
    """A flood is mostly refusals, so one costs no more than two messages."""
    headers, before, after = _refusal(retry_after_s)
    own_id = request_id.encode()
    headers = [*headers, (REQUEST_ID_HEADER, own_id)]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": before + own_id + after})


@cache
def _refusal(retry_after_s: int) -> tuple[list[tuple[bytes, bytes]], bytes, bytes]:
    """The headers of a refusal, and its body before and after the request's id."""
    problem = Problem("overloaded", "Try again after the time in Retry-After.")
    _, headers, body = document(problem, ANY_REQUEST_ID, retry_after_s=retry_after_s)
    content = json.dumps(body, separators=(",", ":")).encode()
    headers |= {"Content-Type": CONTENT_TYPE, "Content-Length": str(len(content))}
    before, after = content.split(ANY_REQUEST_ID.encode())
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()], before, after


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
