"""The description of the API: usable by generators of clients, and true to the conventions."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.dependencies.models import Dependant

from api.gateway.problems import PROBLEMS
from api.gateway.strict_json import StrictRoute
from tests.support.routes import routes, validator, without_services

TAGS = {
    "Session API",
    "Bet API",
    "Result API",
    "Wallet API",
    "Event API",
    "Operator API",
    "Platform API",
    "Open",
}


@pytest.fixture(scope="module")
async def described() -> dict[str, Any]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(without_services()), base_url="http://api"
    ) as client:
        document: dict[str, Any] = (await client.get("/openapi.json")).json()
    return document


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, verbs in described["paths"].items():
        for verb, operation in verbs.items():
            yield f"{verb.upper()} {path}", operation


def problem_codes(operation: dict[str, Any]) -> set[str]:
    """Every code that the operation may answer with."""
    return {
        code
        for response in operation["responses"].values()
        for code in response.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }


def test_every_route_is_described_with_a_tag_words_and_a_name_of_its_own(described: dict[str, Any]) -> None:
    found = dict(operations(described))
    assert set(found) == {f"{verb} {route.path}" for route in routes() for verb in route.methods or ()}
    for name, operation in found.items():
        assert set(operation["tags"]) <= TAGS, name
        assert operation["description"], name
    names = [operation["operationId"] for operation in found.values()]
    assert len(names) == len(set(names))
    assert all(re.fullmatch("[a-z][A-Za-z0-9]*", name) for name in names)


def test_every_route_lists_the_problems_that_it_may_answer_by_status(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        expected = (
            {"internal", "too-large"} if name.endswith("z") else {"internal", "too-large", "overloaded"}
        )
        if operation.get("security"):
            expected |= {"unauthenticated", "invalid"}
        if operation.get("security") == [{"operatorKey": []}]:
            expected.add("forbidden")
        if {"requestBody", "parameters"} & operation.keys():
            expected.add("invalid")
        assert expected <= problem_codes(operation), name
        assert "default" not in operation["responses"], name  # it would excuse any answer


def test_every_problem_is_listed_by_some_route_and_says_which_codes_it_has(described: dict[str, Any]) -> None:
    listed: set[str] = set()
    for name, operation in operations(described):
        listed |= problem_codes(operation)
        for status, response in operation["responses"].items():
            assert "x-problem-codes" not in response, name
            for content_type, content in response.get("content", {}).items():
                if content_type != "application/problem+json":
                    continue
                codes = content["schema"]["allOf"][1]["properties"]["code"]["enum"]
                assert [*content["examples"]] == codes, name
                assert all(str(PROBLEMS[code][0]) == status for code in codes), name
    # These are answered where there is no operation, or before one is found.
    elsewhere = {"method-not-allowed", "head-too-large", "upgrade-required"}
    assert set(PROBLEMS) - listed <= elsewhere


def test_every_answer_describes_its_headers(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        for status, response in operation["responses"].items():
            headers = set(response["headers"])
            assert "X-Request-Id" in headers, name
            assert ("WWW-Authenticate" in headers) == (status == "401"), name
            if status in ("429", "503") and "application/problem+json" in response["content"]:
                assert "Retry-After" in headers, name
    for name in ("POST /v1/game/rounds", "POST /v1/operator/players/{player_id}/deposits"):
        assert "Idempotent-Replayed" in dict(operations(described))[name]["responses"]["200"]["headers"]
    pending = dict(operations(described))["POST /v1/game/rounds"]["responses"]["202"]
    assert {"Location", "Retry-After"} < set(pending["headers"])


def test_no_route_describes_an_error_it_never_answers(described: dict[str, Any]) -> None:
    """FastAPI adds its own 422 to every route with parameters; ours is a problem document."""
    assert not {"HTTPValidationError", "ValidationError"} & set(described["components"]["schemas"])


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    references = set(_values(described, "$ref"))
    assert references
    for reference in references:
        found: Any = described
        for part in reference.removeprefix("#/").split("/"):
            assert part in found, reference
            found = found[part]


def test_the_names_of_security_schemes_can_be_used_in_other_languages(described: dict[str, Any]) -> None:
    schemes = described["components"]["securitySchemes"]
    assert set(schemes) == {"sessionToken", "operatorKey", "platformKey"}
    assert all(scheme["type"] == "http" and scheme["scheme"] == "bearer" for scheme in schemes.values())


def test_every_request_has_an_example_that_its_own_description_takes(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        for parameter in operation.get("parameters", ()):
            if parameter["required"]:
                assert "example" in parameter, f"{name}: {parameter['name']} is not in api.openapi.EXAMPLES"
                validator(described, parameter["schema"]).validate(parameter["example"])
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            model = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            assert model.get("examples"), f"{name}: the model of the body has no example"
            for example in model["examples"]:
                validator(described, schema).validate(example)


def test_every_pattern_means_the_same_to_a_client(described: dict[str, Any]) -> None:
    """JSON Schema's patterns are ECMAScript's, where for example \\z is the letter z."""
    patterns = set(_values(described, "pattern"))
    assert patterns
    assert not [pattern for pattern in patterns if re.search(r"\\[zZA]|\(\?[P<]", pattern)]


def test_requests_are_described_as_closed_and_amounts_as_bounded_integers(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    for name, operation in operations(described):
        for body in [operation["requestBody"]] if "requestBody" in operation else []:
            reference = body["content"]["application/json"]["schema"]["$ref"]
            assert schemas[reference.rpartition("/")[2]]["additionalProperties"] is False, name
    assert schemas["MoneyIn"]["additionalProperties"] is False
    for amount in (schemas["PlaceBet"]["properties"]["stake"], schemas["MoneyIn"]["properties"]["amount"]):
        assert (amount["type"], amount["exclusiveMinimum"], amount["maximum"]) == ("integer", 0, 2**53 - 1)


def test_every_route_with_a_key_reads_its_request_strictly() -> None:
    keyed = [route for route in routes() if route.path.startswith(("/v1/game/", "/v1/operator/"))]
    assert len(keyed) > 10
    assert all(isinstance(route, StrictRoute) for route in keyed)


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
