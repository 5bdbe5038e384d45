"""A message whose properties cannot be decoded must not end the connection that it comes over.

A sender may write into a message's properties what is no UTF-8, a time beyond every calendar, or tables
nested without end; the broker passes all of it on. In pamqp it is an error, raised in the task that reads the
connection, which ends it. The broker then hands the same message to the next connection, and so on: one
message would stop a queue for everybody.
"""

from collections.abc import Callable
from typing import Any

from pamqp import decode

_Decoded = tuple[int, Any]  # how many bytes it took, and the value
_Decoder = Callable[..., _Decoded]


def endure() -> None:
    """From now on, properties that cannot be decoded are shortened or left out, in this process. Calling it
    again changes nothing."""
    if decode.METHODS["shortstr"] is decode.short_str:
        decode.METHODS |= {
            "shortstr": _or(decode.short_str, _readable_part),
            "table": _or(decode.field_table, _no_table),
            "timestamp": _or(decode.timestamp, _no_time),
        }


def _or(decoder: _Decoder, instead: _Decoder) -> _Decoder:
    def forgiving(value: bytes) -> _Decoded:
        try:
            return decoder(value)
        except (ValueError, OverflowError, OSError, RecursionError):
            return instead(value)

    return forgiving


def _readable_part(value: bytes) -> _Decoded:
    """Not a replacement for each wrong byte: the text may be sent on, and must not become longer."""
    return value[0] + 1, value[1 : value[0] + 1].decode("utf-8", errors="ignore")


def _no_table(value: bytes) -> _Decoded:
    return 4 + int.from_bytes(value[:4], "big"), {}


def _no_time(_value: bytes) -> _Decoded:
    return 8, None
