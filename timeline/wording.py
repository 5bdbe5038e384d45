"""How amounts, times and foreign values are worded in a row."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

from contracts.failures import one_line

Amounts = Callable[[int, str], str]


def minor_units(amount: int, currency: str) -> str:
    """As commands say it: 100 EUR is one euro."""
    return f"{amount} {currency}"


_AMOUNTS: Final[ContextVar[Amounts]] = ContextVar("amounts", default=minor_units)


def money(amount: int, currency: str) -> str:
    """An amount in minor units, as whoever shows it words amounts."""
    return _AMOUNTS.get()(amount, currency)


@contextmanager
def amounts_as(amounts: Amounts) -> Iterator[None]:
    """Whatever this task words inside the block has its amounts in another form."""
    before = _AMOUNTS.set(amounts)
    try:
        yield
    finally:
        _AMOUNTS.reset(before)


def compact(value: object) -> str:
    """A JSON value in words, in one bounded line: `{"roll": 7, "won": false}` is `roll 7, won no`."""
    return one_line(_words(value))


def _words(value: object) -> str:
    match value:
        case dict():
            return ", ".join(f"{_named(key)} {_inside(part)}" for key, part in value.items()) or "nothing"
        case list() | tuple():
            return ", ".join(_inside(part) for part in value) or "none"
        case bool():
            return "yes" if value else "no"
        case None:
            return "none"
    return str(value)


def _inside(part: object) -> str:
    """What has parts of its own stands in brackets."""
    return f"({_words(part)})" if isinstance(part, dict | list | tuple) and part else _words(part)


def _named(key: object) -> str:
    return str(key).replace("_", " ")


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def minute(at: datetime) -> str:
    """A moment for people, in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
