"""The id of the request that some work is for: in every line of the log, and wherever the work leads.

The transports make it (api/gateway/request_ids.py); a round's bet, its events and its webhooks carry it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Final, Protocol

CURRENT: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)


class Tracing(Protocol):
    """What watches requests where traces are on: runtime.traces."""

    def own_part(self) -> str | None:
        """The trace of the current request, as the part of its id that is ours; None for one that is not
        sampled."""

    def operation(self, name: str, request_id: str | None) -> AbstractContextManager[object]:
        """A part of the request's trace, as long as the block runs; without an id, of a new one."""


_tracing: Tracing | None = None


def trace_with(tracing: Tracing | None) -> None:
    """Call once, from main, and only where traces are on."""
    global _tracing
    _tracing = tracing


def tracing() -> Tracing | None:
    """None where traces are off."""
    return _tracing


@contextmanager
def resumed(operation: str, request_id: str | None) -> Iterator[None]:
    """Work for a request that began elsewhere; nothing without an id."""
    if request_id is None:
        yield
    elif _tracing is not None:
        with _tracing.operation(operation, request_id), current(request_id):
            yield
    else:
        with current(request_id):
            yield


@contextmanager
def current(request_id: str) -> Iterator[str]:
    """The request that the block is for."""
    before = CURRENT.set(request_id)
    try:
        yield request_id
    finally:
        CURRENT.reset(before)
