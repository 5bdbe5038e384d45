"""Every problem the API answers with: RFC 9457 documents, and the one table of their HTTP statuses."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException

from contracts import failures
from runtime import metrics
from runtime.unavailable import UNAVAILABLE, WORDS, Cause
from security.payload_codec import CANNOT_OPEN
from storage.database import AWAY, NotAdmitted

# What any call may raise while the database is away: the same call may succeed later.
DATABASE_AWAY: Final = AWAY
# code -> (HTTP status, title). The codes are api.md's; clients switch on them, people read the titles.
PROBLEMS: Final[dict[str, tuple[int, str]]] = {
    "unauthenticated": (401, "Authentication is missing or not valid"),
    failures.SESSION_EXPIRED: (401, "The session is over"),
    failures.INSUFFICIENT_FUNDS: (402, "The balance does not cover the stake"),
    "forbidden": (403, "This is not allowed"),
    "limit-exceeded": (403, "A limit of the session would be exceeded"),
    failures.GAME_DISABLED: (403, "The game is switched off"),
    failures.PLAYER_BLOCKED: (403, "The player is blocked"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "This address does not take that method"),
    failures.ROUND_OPEN: (409, "Another round of this game is still open"),
    "round-closed": (409, "The round is closed"),
    failures.ROUND_LOST: (409, "The round was lost with a restore"),
    "wrong-state": (409, "The state does not allow this"),
    "too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The body must be application/json"),
    "upgrade-required": (426, "This address speaks WebSocket alone"),
    "head-too-large": (431, "The request's head is too large"),
    "invalid": (422, "The request is not valid"),
    failures.ID_REUSED: (422, "The id belongs to another request"),
    "currency-mismatch": (422, "The currency does not fit"),
    "stake-not-allowed": (422, "The stake is not on the ladder"),
    "unknown-choice": (422, "The game does not take this choice"),
    "too-many-requests": (429, "Too many requests"),
    "internal": (500, "Something went wrong on our side"),
    "wallet-failed": (502, "The wallet did not answer as agreed"),
    "overloaded": (503, "Not possible right now"),
}
_CODES_OF_STATUS: Final = {
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
}
CONTENT_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:croupier:problem:"
RETRY_AFTER_S: Final = 1
# Where a route's description names the codes of a status; gateway/openapi.py makes whole responses of them.
CODES_KEY: Final = "x-problem-codes"

log = logging.getLogger(__name__)


class Problem(Exception):
    """Raised anywhere below a route to answer with the problem `code`. `detail` is for people and says the
    next step; `members` are further fields that the case needs, such as `open_round` or `balance`."""

    def __init__(
        self, code: str, detail: str = "", *, headers: dict[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.members = members


def unavailable(cause: Cause, then: str = "Try again soon.", **members: Any) -> Problem:
    """The problem `overloaded`, counted, in the words of its cause. `then` is the next step."""
    UNAVAILABLE.labels(cause.value).inc()
    return Problem("overloaded", f"{WORDS[cause]} {then}", **members)


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """What a route says of its own errors, for its `responses`: `problems("not-found", "wrong-state")`. What
    every route answers, or every one with a key or parameters, goes without saying."""
    responses: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        response = responses.setdefault(PROBLEMS[code][0], {"description": "", CODES_KEY: []})
        response[CODES_KEY].append(code)
    return responses


def document(
    problem: Problem, request_id: str, *, retry_after_s: int = RETRY_AFTER_S
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """The status, headers and body of a problem. `retry_after_s`, in whole seconds, goes with a 503 or 429
    that has no `retry_after` of its own."""
    status, title = PROBLEMS[problem.code]
    body = {
        "type": TYPE_PREFIX + problem.code,
        "title": title,
        "status": status,
        "detail": problem.detail or title,
        "code": problem.code,
        "request_id": request_id,
        **problem.members,
    }
    headers = dict(problem.headers)
    if status in (429, 503):
        body.setdefault("retry_after", retry_after_s)
        headers["Retry-After"] = str(body["retry_after"])
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return status, headers, body


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem document."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    for error in (*DATABASE_AWAY, *CANNOT_OPEN):
        app.add_exception_handler(error, _answer_away)
    app.add_exception_handler(Exception, _answer_unexpected)


def _respond(request: Request, problem: Problem) -> JSONResponse:
    status, headers, body = document(problem, request.state.request_id)
    metrics.of_problem(problem.code, "http").inc()
    return JSONResponse(body, status, headers=headers, media_type=CONTENT_TYPE)


async def _answer_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return _respond(request, error)


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _respond(request, invalid(error.errors()))


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _CODES_OF_STATUS.get(error.status_code, "invalid" if error.status_code < 500 else "internal")
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return _respond(request, Problem(code, headers=headers))


async def _answer_away(request: Request, error: Exception) -> JSONResponse:
    return _respond(request, _away(error, request.state.request_id))


async def _answer_unexpected(request: Request, error: Exception) -> JSONResponse:
    # The log has the traceback, under the request's id; the client gets neither text nor type of the error.
    return _respond(request, _unexpected())


def _methods(request: Request) -> set[str]:
    """Every method that the address takes. Each route knows only its own, and HEAD is where GET is."""
    known = [context.original_route for context in iter_route_contexts(request.app.routes)]
    at_address = [route for route in known if isinstance(route, APIRoute) and _is_at(route, request)]
    methods = {method for route in at_address for method in route.methods or ()}
    return methods | {"HEAD"} if "GET" in methods else methods


def _is_at(route: APIRoute, request: Request) -> bool:
    return route.path_regex.fullmatch(request.url.path) is not None


def of(error: Exception, request_id: str) -> Problem:
    """What to answer where no application turns errors into documents. What is unforeseen is logged."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, (*DATABASE_AWAY, *CANNOT_OPEN)):
        return _away(error, request_id)
    log.error("request %s failed", request_id, exc_info=error)
    return _unexpected()


def _away(error: Exception, request_id: str) -> Problem:
    if isinstance(error, CANNOT_OPEN):
        log.error("request %s: a sealed value does not open: %s", request_id, error)
        return unavailable(Cause.KEY, "Tell the casino; the same call is answered once the key is back.")
    why = str(error) if isinstance(error, NotAdmitted) else type(error).__name__
    log.warning("request %s: the database is away: %s", request_id, why)
    return unavailable(Cause.LEDGER)


def _unexpected() -> Problem:
    return Problem("internal", "Ask for the round before sending anything again.")


def invalid(errors: Sequence[Any]) -> Problem:
    """Where the request is wrong first and why, without repeating what was sent. `errors` are pydantic's."""
    first = errors[0]
    if first["type"] == "json_invalid":
        why = str(first.get("ctx", {}).get("error", "it cannot be read"))
        return Problem("invalid", f"The body is not valid JSON: {why}")
    place = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    return Problem("invalid", f"{place}: {first['msg']}"[: failures.DETAIL_LIMIT])
