"""Temporal's times, spans and enums as values and words of ours."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def time_of(at: Timestamp) -> datetime:
    return at.ToDatetime(tzinfo=UTC)


def shown(at: Timestamp) -> str:
    return f"{time_of(at):%Y-%m-%dT%H:%M:%S.%fZ}"


def span(duration: Duration) -> str:
    seconds = duration.ToTimedelta().total_seconds()
    return f"{seconds:g} s"


def enum_name(enum: Any, value: int) -> str:
    """`TIMEOUT_TYPE_START_TO_CLOSE` as `start to close`: an enum's own name stands before its values."""
    prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum.DESCRIPTOR.name).lstrip("_")
    return str(enum.Name(value)).removeprefix(f"{prefix}_").replace("_", " ").lower()


def seconds_and_nanos(value: Any) -> datetime | None:
    match value:
        case {"seconds": int(seconds), "nanos": int(nanos)}:
            return time_of(Timestamp(seconds=seconds, nanos=nanos))
    return None
