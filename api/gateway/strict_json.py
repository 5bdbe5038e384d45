"""Requests are read exactly: JSON as RFC 8259 means it (no NaN, no duplicate names, no endless nesting), and
no parameter that the route does not know."""

import json
import math
import re
from collections.abc import Callable, Collection, Coroutine
from email.message import Message
from typing import Any, Final, NoReturn

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from api.gateway.problems import Problem

DEPTH_LIMIT: Final = 20
# Longer integers than any amount has. Parsing much longer ones would cost quadratic time.
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
    """Parses `body`, at little more than the cost of parsing: what most bodies have no trace of is looked for
    by a search, and checked with care only where it is found. Raises json.JSONDecodeError, whose message
    quotes nothing of the body."""
    try:
        text = body.decode("utf-8")
        value = (_CAREFUL if _has_odd_numbers(body) else _QUICK).decode(text)
    except RecursionError:
        raise _refusal("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise json.JSONDecodeError(error.msg, "", 0) from None
    except UnicodeDecodeError:
        raise _refusal("it is not UTF-8") from None
    if body.count(b"[") + body.count(b"{") >= DEPTH_LIMIT and _is_deep(value):
        raise _refusal("it is nested too deeply")
    if any(escape in body for escape in _SUSPECT_ESCAPES) and not _STORABLE.fullmatch(text):
        raise _refusal("a text holds a character that cannot be stored")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _refusal("a name occurs twice in one object")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise _refusal("NaN and Infinity are not JSON")


def _has_odd_numbers(body: bytes) -> bool:
    """Whether there may be a number that is too long, or too large for a float: such a one has a run of many
    digits, or three in its exponent."""
    digits = body.translate(_DIGITS, b"+")
    return _LONG_RUN in digits or _LARGE_EXPONENT in digits


_DIGITS: Final = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_RUN: Final = b"0" * (DIGITS_LIMIT + 1)
_LARGE_EXPONENT: Final = b"e000"


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


_QUICK: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
_CAREFUL: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_fraction
)


def _is_deep(value: Any) -> bool:
    """Whether something lies deeper than DEPTH_LIMIT, level by level."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEPTH_LIMIT - 1):
        level = [
            member
            for outer in level
            for member in (outer.values() if type(outer) is dict else outer)
            if type(member) is dict or type(member) is list
        ]
        if not level:
            return False
    return any(level)


# Text that no database and no UTF-8 can carry comes by escapes alone: zero, and halves of surrogate pairs.
_SUSPECT_ESCAPES: Final = (b"\\u0000", b"\\ud", b"\\uD")
# JSON that was parsed has backslashes in its texts alone. Nothing here is tried twice, however long it is.
_STORABLE: Final = re.compile(
    r"""(?: [^\\]++
        | \\[^u]
        | \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
        | \\u(?!0000|[dD][89a-fA-F])[0-9a-fA-F]{4}
        )*+""",
    re.VERBOSE,
)


def _refusal(why: str) -> json.JSONDecodeError:
    return json.JSONDecodeError(why, "", 0)
