"""The API without services: its routes and its description of itself."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.types import ASGIApp

from api.app import create_app, routed
from api.gateway import authentication
from api.gateway.admission import Admission
from api.gateway.authentication import KeyOf

# What asks for neither a key nor a token, written down here once more.
OPEN = {
    "GET /healthz",
    "GET /readyz",
    "GET /v1/games",
    "GET /v1/games/{game_id}",
    "POST /v1/fairness/verify",
}


def without_services() -> ASGIApp:
    admission = Admission(max_open_requests=1, max_open_bets=1, max_running_bets=1)
    return create_app(None, {}, admission)  # type: ignore[arg-type]  # no request reaches a service


def routes() -> list[APIRoute]:
    known = [context.original_route for context in iter_route_contexts(routed().routes)]
    return [route for route in known if isinstance(route, APIRoute) and route.include_in_schema]


def validator(described: dict[str, Any], schema: dict[str, Any]) -> Any:
    return jsonschema_rs.Draft202012Validator({**schema, "components": described["components"]})


def dependencies(dependant: Dependant) -> Iterator[object]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from dependencies(inner)


def guards() -> dict[str, list[object]]:
    """What each route asks of its caller."""
    known = (authentication.any_session, authentication.live_session)
    return {
        f"{verb} {route.path}": [
            call for call in dependencies(route.dependant) if call in known or isinstance(call, KeyOf)
        ]
        for route in routes()
        for verb in sorted(route.methods or ())
    }
