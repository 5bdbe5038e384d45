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
        # Whether each waits for what happens in this process alone.
        self._waiting: defaultdict[RoundKey, dict[asyncio.Future[RoundView | None], bool]] = defaultdict(dict)

    @contextmanager
    def expect(
        self, key: RoundKey, *, here_alone: bool = False
    ) -> Iterator[asyncio.Future[RoundView | None]]:
        """A future of the round's result. Enter before the round is started, or its end could be missed. With
        `here_alone` it is None once the round may end in another process."""
        result = asyncio.get_running_loop().create_future()
        self._waiting[key][result] = here_alone
        try:
            yield result
        finally:
            del self._waiting[key][result]
            if not self._waiting[key]:
                del self._waiting[key]
            result.cancel()

    def deliver(self, view: RoundView) -> None:
        """Call after the commit. Nobody waiting is no error: the round may have been started elsewhere."""
        for result in self._waiting.get(view.key, ()):
            if not result.done():
                result.set_result(view)

    def left(self, key: RoundKey) -> None:
        """Call when the round has left this process: its next steps are taken by whichever worker is free."""
        for result, here_alone in self._waiting.get(key, {}).items():
            if here_alone and not result.done():
                result.set_result(None)
