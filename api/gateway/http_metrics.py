"""Counts and times answers over HTTP, by the route's template: no path of a client's becomes a label."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from prometheus_client import Counter, Histogram
from starlette.types import Scope

from runtime import metrics

UNMATCHED: Final = "unmatched"
OTHER_METHOD: Final = "other"
CLASSES: Final = ("2xx", "3xx", "4xx", "5xx")
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


def know(app: FastAPI) -> None:
    """Makes the series of every route's answers."""
    for method, route in {*_routes(app), ("GET", UNMATCHED), ("POST", UNMATCHED)}:
        metrics.at_zero(metrics.HTTP_REQUESTS, [method], [route], CLASSES)


def answered(scope: Scope, status: int, took_s: float) -> None:
    """Counts an answer, `took_s` after its request's head. The scope has its route by now, if it has one."""
    method, route = _method(scope), getattr(scope.get("route"), "path", UNMATCHED)
    _requests(method, route, status // 100).inc()
    _seconds(method, route).observe(took_s)


def refused(scope: Scope, code: str, status: int, known_route: str | None) -> None:
    """Counts an answer that was given before there was a route; it is not timed."""
    metrics.of_problem(code, "http").inc()
    _requests(_method(scope), known_route or UNMATCHED, status // 100).inc()


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else OTHER_METHOD


# Routes and methods are bounded, so neither of these ever drops what it needs again.
@lru_cache(maxsize=4096)
def _requests(method: str, route: str, status_class: int) -> Counter:
    return metrics.HTTP_REQUESTS.labels(method, route, f"{status_class}xx")


@lru_cache(maxsize=1024)
def _seconds(method: str, route: str) -> Histogram:
    return metrics.HTTP_SECONDS.labels(method, route)


def _routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            for method in route.methods or ():
                yield method, route.path
