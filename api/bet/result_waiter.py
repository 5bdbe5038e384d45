"""Handing a round's result to the request that waits for it, when both live in this process."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from contracts.rounds import RoundKey
from contracts.views import RoundView


class ResultWaiter:
    """Requests wait by the round's key. The step that commits the round's end delivers it to all of them."""

    def __init__(self) -> None:
        self._waiting: defaultdict[RoundKey, set[asyncio.Future[RoundView]]] = defaultdict(set)

    @contextmanager
    def expect(self, key: RoundKey) -> Iterator[asyncio.Future[RoundView]]:
        """A future of the round's result. Enter before the round is started, or its end could be missed."""
        result = asyncio.get_running_loop().create_future()
        self._waiting[key].add(result)
        try:
            yield result
        finally:
            self._waiting[key].discard(result)
            if not self._waiting[key]:
                del self._waiting[key]
            result.cancel()

    def deliver(self, view: RoundView) -> None:
        """Call after the commit. Nobody waiting is no error: the round may have been started elsewhere."""
        for result in self._waiting.get(view.key, ()):
            if not result.done():
                result.set_result(view)
