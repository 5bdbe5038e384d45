"""The description at /openapi.json: what FastAPI makes of the routes, and what holds for all of them.

A route names the problems that are its own with `problems(...)`. The answers of any route (no key, an invalid
request, no free permit) and the headers that follow from a status are added here, once.
"""

from collections.abc import Collection
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from api.gateway.problems import CODES_KEY, CONTENT_TYPE, PROBLEMS, Problem, document
from api.gateway.schemas import Money, ProblemOut, headers
from api.gateway.strict_json import StrictRoute

DESCRIPTION: Final = (
    "Casino game rounds as durable workflows. Amounts are integers in minor units, times RFC 3339 in UTC. "
    "Errors are problem documents (RFC 9457): switch on `code`. Ids that callers choose are idempotency keys."
)
TAGS: Final = (
    {"name": "Session API", "description": "Sessions: opened by the operator, used by the game client."},
    {"name": "Bet API", "description": "Playing: bets and choices, each once, however often it is sent."},
    {"name": "Result API", "description": "Rounds: their state, their history, and decisions about them."},
    {"name": "Wallet API", "description": "Balances, deposits, withdrawals and statements."},
    {"name": "Event API", "description": "What happened, as events."},
    {"name": "Operator API", "description": "The operator's own matters, such as its keys."},
    {"name": "Platform API", "description": "For whoever runs the casino: its operators."},
    {"name": "Open", "description": "Without a key: health, games, and checking a round's fairness."},
)
BY_SECURITY: Final = {
    "sessionToken": ("unauthenticated",),
    "operatorKey": ("unauthenticated", "forbidden"),
    "platformKey": ("unauthenticated", "forbidden"),
}
# What the examples of requests name, so that they can be sent one after the other.
EXAMPLES: Final = {
    "currency": "EUR",
    "game_id": "dice",
    "operator_id": "acme",
    "key_id": "8f14e45fceea167a",
    "player_id": "alice",
    "round_id": "r-1001",
    "session_id": "8efaa1dcbd2449948cce5926a80e4dfa",
    "webhook_id": "0d0c3f2e5f7b4c7e9a51d7c3b2f8a640",
}
EXAMPLE_REQUEST_ID: Final = "3f2b8a61c0de4f0f9a3c1f8a2b7d9e10"

_REQUEST_ID: Final = {
    "description": "This request's id, as problem documents and the server's logs name it.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
}
_RETRY_AFTER: Final = {
    "description": "Whole seconds to wait before asking again.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}
_CHALLENGE: Final = {
    "description": "Which credentials are missing.",
    "required": True,
    "schema": {"type": "string"},
}
_REPLAYED: Final = {
    "description": "`true` on the answer to a repeat: nothing was done again.",
    "schema": {"const": "true"},
}
_LOCATION: Final = {
    "description": "Where to ask for the round.",
    "required": True,
    "schema": {"type": "string"},
}
COMMON_HEADERS: Final = {
    "X-Request-Id": _REQUEST_ID,
    "Retry-After": _RETRY_AFTER,
    "WWW-Authenticate": _CHALLENGE,
    "Idempotent-Replayed": _REPLAYED,
    "Location": _LOCATION,
}
_HEADERS_OF_PROBLEMS: Final = {
    "401": ["WWW-Authenticate"],
    "429": ["Retry-After"],
    "503": ["Retry-After"],
}


def operation_id(route: APIRoute) -> str:
    """How clients in other languages name the call: `gamePlaceBet`, `operatorRounds`, `verify`."""
    part = route.path.removeprefix("/v1/").split("/")[0]
    words = (
        [part, *route.name.split("_")] if part in ("game", "operator", "platform") else route.name.split("_")
    )
    return words[0] + "".join(word.capitalize() for word in words[1:])


class DescribedAPI(FastAPI):
    """An application whose description is complete."""

    _described: dict[str, Any] | None = None

    def openapi(self) -> dict[str, Any]:
        if self._described is None:
            known = [context.original_route for context in iter_route_contexts(self.routes)]
            strict = {route.path_format for route in known if isinstance(route, StrictRoute)}
            self._described = complete(super().openapi(), strict_paths=strict)
        return self._described


def complete(described: dict[str, Any], *, strict_paths: Collection[str]) -> dict[str, Any]:
    """`described` with every problem and header of every operation. `strict_paths` refuse any query parameter
    that they do not know, so they answer `invalid` also where they have none."""
    components = described.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own 422, which is never answered
        schemas.pop(unused, None)
    schemas["Problem"] = _schema(ProblemOut)
    schemas.setdefault("Money", _schema(Money))
    components["headers"] = COMMON_HEADERS
    for path, operations in described["paths"].items():
        for operation in operations.values():
            _complete_operation(operation, reads_strictly=path in strict_paths)
    return described


def _schema(model: type[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return schema


def _complete_operation(operation: dict[str, Any], *, reads_strictly: bool) -> None:
    responses = operation["responses"]
    codes = _implied(operation, reads_strictly)
    for response in responses.values():
        codes.update(response.get(CODES_KEY, ()))
    for status in [status for status, response in responses.items() if _is_error(status, response)]:
        del responses[status]
    for status, of_status in _by_status(codes).items():
        responses[status] = _problem_response(of_status)
    operation["responses"] = dict(sorted(responses.items()))
    _add_headers(operation)
    for parameter in operation.get("parameters", ()):
        if parameter["required"] and parameter["name"] in EXAMPLES:
            parameter.setdefault("example", EXAMPLES[parameter["name"]])


def _is_error(status: str, response: dict[str, Any]) -> bool:
    """Whether it is described as a problem: by `problems`, or by FastAPI as a 422 of its own."""
    return CODES_KEY in response or status == "422"


def _implied(operation: dict[str, Any], reads_strictly: bool) -> set[str]:
    """The codes that follow from what the operation takes."""
    codes = {
        code for needed in operation.get("security", ()) for name in needed for code in BY_SECURITY[name]
    }
    if reads_strictly or "requestBody" in operation or "parameters" in operation:
        codes.add("invalid")
    return codes


def _by_status(codes: Collection[str]) -> dict[str, list[str]]:
    by_status: dict[str, list[str]] = {}
    for code in PROBLEMS:  # in the table's order, which is that of the statuses
        if code in codes:
            by_status.setdefault(str(PROBLEMS[code][0]), []).append(code)
    return by_status


def _problem_response(codes: list[str]) -> dict[str, Any]:
    return {
        "description": "; ".join(f"`{code}`: {PROBLEMS[code][1]}" for code in codes),
        "content": {
            CONTENT_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": {"code": {"enum": codes}, "status": {"const": PROBLEMS[codes[0]][0]}}},
                    ]
                },
                "examples": {
                    code: {"value": document(Problem(code), EXAMPLE_REQUEST_ID)[2]} for code in codes
                },
            }
        },
    }


def _add_headers(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    repeatable = any("Idempotent-Replayed" in response.get("headers", {}) for response in responses.values())
    for status, response in responses.items():
        names = ["X-Request-Id"]
        if CONTENT_TYPE in response.get("content", {}):
            names += _HEADERS_OF_PROBLEMS.get(status, ())
            # A refusal on record is an answer too, and the same again to a repeat.
            names += ["Idempotent-Replayed"] if repeatable and status < "500" else []
        response.setdefault("headers", {}).update(headers(*names))
