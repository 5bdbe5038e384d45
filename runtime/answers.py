"""Handing a closed round to the request that waits for it, when both live in this process."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from contracts.rounds import RoundKey
from contracts.views import RoundView


class WaitingRoom:
    """Requests wait by the round's key; whoever commits the round's end delivers it to all of them."""

    def __init__(self) -> None:
        self._waiting: defaultdict[RoundKey, set[asyncio.Future[RoundView]]] = defaultdict(set)

    @contextmanager
    def expect(self, key: RoundKey) -> Iterator[asyncio.Future[RoundView]]:
        """Enter before the round is started, or its end could be missed."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting[key].add(answer)
        try:
            yield answer
        finally:
            self._waiting[key].discard(answer)
            if not self._waiting[key]:
                del self._waiting[key]
            answer.cancel()

    def deliver(self, view: RoundView) -> None:
        """Call after the commit. Nobody waiting is no error: the round may have been started elsewhere."""
        for answer in self._waiting.get(view.key, ()):
            if not answer.done():
                answer.set_result(view)
