"""A message whose properties cannot be decoded must not end the connection that it comes over.

A sender may write into a message's properties what is no UTF-8, a time beyond every calendar, or tables
nested without end; the broker passes all of it on. In pamqp it is an error, raised in the task that reads the
connection, which ends it. The broker then hands the same message to the next connection, and so on: one
message would stop a queue for everybody. A large table is decoded, but in seconds in which nobody else is
served.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from aio_pika.abc import FieldValue
from pamqp import decode, encode

# Tables of headers up to this size are decoded; the time for one grows with its square.
TABLE_BYTES: Final = 8 * 1024
# Says in the place of headers that were not decoded how large they were.
LEFT_OUT_HEADER: Final = "croupier-headers-left-out"
# Further routing keys of a message: a copy must not go where the original's sender says.
_ROUTING_HEADERS: Final = frozenset({"CC", "BCC"})

_Decoded = tuple[int, Any]  # how many bytes it took, and the value


class _Decoder(Protocol):
    def __call__(self, value: bytes, /) -> _Decoded: ...


def endure() -> None:
    """From now on, properties that cannot be decoded keep their bytes (see `is_text`) or are left out, in
    this process. Calling it again changes nothing."""
    if decode.METHODS["shortstr"] is decode.short_str:
        decode.METHODS |= {
            "shortstr": _or(decode.short_str, _bytes_as_text),
            "table": _or(_small_table, _no_table),
            "timestamp": _or(decode.timestamp, _no_time),
        }


def is_text(value: str) -> bool:
    """Whether a property was UTF-8. One that was not holds its bytes as lone surrogates: it can be compared,
    and never be sent on by accident, for they cannot be encoded."""
    return readable(value) == value


def readable(value: str | None) -> str | None:
    """The part of a property that is UTF-8."""
    return None if value is None else value.encode(errors="ignore").decode()


def writable(headers: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """Those of a message's headers that a copy of it can have: pamqp reads more than it writes. Bytes stay
    what they are; further routing keys are left out."""
    kept = {name: _as_bytes(value) for name, value in headers.items() if name not in _ROUTING_HEADERS}
    return {name: value for name, value in kept.items() if _can_be_written(name, value)}


def _or(decoder: Callable[[bytes], _Decoded], instead: _Decoder) -> _Decoder:
    def forgiving(value: bytes) -> _Decoded:
        try:
            return decoder(value)
        except (ValueError, OverflowError, OSError, RecursionError):
            return instead(value)

    return forgiving


def _bytes_as_text(value: bytes) -> _Decoded:
    end = value[0] + 1 if value else 1
    return end, value[1:end].decode(errors="surrogateescape")


def _small_table(value: bytes) -> _Decoded:
    if _size(value) > TABLE_BYTES:
        raise ValueError("a large table")
    return decode.field_table(value)


def _no_table(value: bytes) -> _Decoded:
    return 4 + _size(value), {LEFT_OUT_HEADER: f"{_size(value)} bytes"}


def _size(table: bytes) -> int:
    return int.from_bytes(table[:4], "big")


def _no_time(_value: bytes) -> _Decoded:
    return 8, None


def _as_bytes(value: FieldValue) -> FieldValue:
    """A text that is no UTF-8 is read as `bytes`, and can be written as a `bytearray`."""
    return bytearray(value) if isinstance(value, bytes) else value


def _can_be_written(name: str, value: FieldValue) -> bool:
    try:
        encode.field_table({name: value})
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True
