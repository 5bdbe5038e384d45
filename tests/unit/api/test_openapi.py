"""The description of the API: usable by generators of clients, and true to the conventions."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api import game_routes, operator_routes
from api.admission import Admission
from api.app import ROUTERS, create_app
from api.strict_json import StrictRoute

TAGS = {"Session API", "Bet API", "Result API", "Wallet API", "Event API", "Operator API", "Open"}


def routes() -> list[APIRoute]:
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


@pytest.fixture(scope="module")
async def described() -> dict[str, Any]:
    admission = Admission(max_open_requests=1, max_open_bets=1, max_running_bets=1)
    door = create_app(None, {}, admission)  # type: ignore[arg-type]  # no request reaches a service
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://api") as client:
        document: dict[str, Any] = (await client.get("/openapi.json")).json()
    return document


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, verbs in described["paths"].items():
        for verb, operation in verbs.items():
            yield f"{verb.upper()} {path}", operation


def test_every_route_is_described_with_a_tag_and_words(described: dict[str, Any]) -> None:
    found = dict(operations(described))
    assert set(found) == {f"{verb} {route.path}" for route in routes() for verb in route.methods or ()}
    for name, operation in found.items():
        assert set(operation["tags"]) <= TAGS, name
        assert operation["description"], name


def test_every_route_says_that_errors_are_problem_documents(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        problem = operation["responses"]["default"]["content"]
        assert [*problem] == ["application/problem+json"], name


def test_no_route_describes_an_error_it_never_answers(described: dict[str, Any]) -> None:
    """FastAPI adds its own 422 to every route with parameters; ours is a problem document."""
    assert "HTTPValidationError" not in described["components"]["schemas"]
    assert not [name for name, operation in operations(described) if "422" in operation["responses"]]


def test_every_pattern_means_the_same_to_a_client(described: dict[str, Any]) -> None:
    """JSON Schema's patterns are ECMAScript's, where for example \\z is the letter z."""
    patterns = set(_values(described, "pattern"))
    assert patterns
    assert not [pattern for pattern in patterns if re.search(r"\\[zZA]|\(\?[P<]", pattern)]


def test_requests_are_described_as_closed_and_amounts_as_bounded_integers(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    for name in (
        "PlaceBet",
        "Deposit",
        "MoneyIn",
        "OpenSession",
        "VoidRound",
        "ResolveRound",
        "RotateSeed",
        "VerifyOutcome",
        "CreateWebhook",
        "ChangeWebhook",
        "ReplayEvents",
    ):
        assert schemas[name]["additionalProperties"] is False
    for amount in (schemas["PlaceBet"]["properties"]["stake"], schemas["MoneyIn"]["properties"]["amount"]):
        assert (amount["type"], amount["exclusiveMinimum"], amount["maximum"]) == ("integer", 0, 2**53 - 1)


def test_every_route_with_a_key_reads_its_request_strictly() -> None:
    for router in (game_routes.router, operator_routes.router):
        assert all(isinstance(route, StrictRoute) for route in router.routes)


def test_no_request_waits_for_a_thread() -> None:
    """A plain function among the dependencies would be run in a pool of threads, for every request."""
    for route in routes():
        for call in _calls(route.dependant):
            coroutine = asyncio.iscoroutinefunction(call)
            assert coroutine or asyncio.iscoroutinefunction(type(call).__call__), f"{call} of {route.path}"


def _calls(dependant: Dependant) -> Iterator[Any]:
    if dependant.call is not None:
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


def _values(node: Any, key: str) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key and isinstance(value, str):
                yield value
            yield from _values(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _values(value, key)
