"""Requests are read exactly: JSON as RFC 8259 means it (no NaN, no duplicate names, no endless nesting), and
no parameter that the route does not know."""

import json
import math
from collections.abc import Callable, Collection, Coroutine
from email.message import Message
from typing import Any, Final, NoReturn

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from api.gateway.problems import Problem

DEPTH_LIMIT: Final = 20
# Longer integers than any amount has; parsing much longer ones would cost quadratic time.
DIGITS_LIMIT: Final = 30


class StrictRequest(Request):
    """A request whose JSON must be exact. FastAPI turns the JSONDecodeError into a 422."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = loads(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """The route class of every router, so that no body is read in any other way."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = {parameter.alias for parameter in self.dependant.query_params}

        async def strict_handler(request: Request) -> Response:
            check_query(request, known)
            strict = StrictRequest(request.scope, request.receive)
            if self.body_field is not None:
                await check_media_type(strict)
            return await handle(strict)

        return strict_handler


def check_query(request: Request, known: Collection[str]) -> None:
    """A filter that is not known must not look as if it had been applied. Raises RequestValidationError."""
    for name in request.query_params:
        if name not in known:
            error = {"type": "extra_forbidden", "loc": ("query", name), "msg": "There is no such parameter"}
            raise RequestValidationError([error])


async def check_media_type(request: Request) -> None:
    """Raises Problem when there is a body that does not say that it is JSON."""
    if not is_json(request.headers.get("content-type", "")) and await request.body():
        raise Problem("unsupported-media-type", "Send JSON as application/json.")


def is_json(content_type: str) -> bool:
    """Whether a body says that it is JSON: application/json, or any subtype that ends with +json."""
    if content_type == "application/json":
        return True
    message = Message()
    message["content-type"] = content_type
    kind, subtype = message.get_content_maintype(), message.get_content_subtype()
    return kind == "application" and (subtype == "json" or subtype.endswith("+json"))


def loads(body: bytes) -> Any:
    """Parses `body`. Raises json.JSONDecodeError, whose message quotes nothing of the body."""
    try:
        text = body.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_fraction,
        )
        _check(value, 1)
    except RecursionError:
        raise _refusal("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise json.JSONDecodeError(error.msg, "", 0) from None
    except UnicodeDecodeError:
        raise _refusal("it is not UTF-8") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _refusal("a name occurs twice in one object")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise _refusal("NaN and Infinity are not JSON")


def _integer(digits: str) -> int:
    if len(digits) > DIGITS_LIMIT:
        raise _refusal("a number is too long")
    return int(digits)


def _fraction(digits: str) -> float:
    """No money is a fraction, but a game's choice may hold one."""
    value = float(digits)
    if not math.isfinite(value):
        raise _refusal("a number is too large")
    return value


def _check(value: Any, depth: int) -> None:
    """Refuses deep nesting, and text that no database and no UTF-8 can carry."""
    if depth > DEPTH_LIMIT:
        raise _refusal("it is nested too deeply")
    if isinstance(value, dict):
        for name, member in value.items():
            _check(name, depth)
            _check(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _check(member, depth + 1)
    elif isinstance(value, str) and ("\x00" in value or any("\ud800" <= c <= "\udfff" for c in value)):
        raise _refusal("a text holds a character that cannot be stored")


def _refusal(why: str) -> json.JSONDecodeError:
    return json.JSONDecodeError(why, "", 0)
