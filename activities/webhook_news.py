"""One look for all webhooks that wait for something to send.

A look asks for what is so, not for what has changed since the last one: what came between a webhook's own
look and its wait is seen by the next. So nobody can miss anything, and a webhook that is woken for nothing
looks itself, and waits again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from contracts.failures import error_line
from contracts.webhooks import Webhook
from storage.database import AWAY

log = logging.getLogger(__name__)

# Which of these, by their ids, have something new, or are no longer as they were.
Look = Callable[[Sequence[Webhook]], Awaitable[set[str]]]


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A webhook as it was when it had nothing to send; `woken` is done when it may have."""

    webhook: Webhook
    woken: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class News:
    """Looks every `pause_s` seconds while anybody waits, whatever the number of those who do."""

    def __init__(self, look: Look, *, pause_s: float) -> None:
        self._look = look
        self._pause_s = pause_s
        self._waiting: set[_Waiting] = set()
        self._looking: asyncio.Task[None] | None = None

    async def wait(self, webhook: Webhook) -> None:
        """Until the webhook may have something to send."""
        waiting = _Waiting(webhook)
        self._waiting.add(waiting)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._keep_looking())
        try:
            await waiting.woken
        finally:
            self._waiting.discard(waiting)

    async def aclose(self) -> None:
        """Looks no longer. Nobody waits by then."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def _keep_looking(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._pause_s)
            if asked := tuple(self._waiting):
                await self._wake(asked)

    async def _wake(self, asked: Sequence[_Waiting]) -> None:
        found = await self._found(asked)
        for one in asked:
            if (found is None or one.webhook.key.webhook_id in found) and not one.woken.done():
                one.woken.set_result(None)
                self._waiting.discard(one)

    async def _found(self, asked: Sequence[_Waiting]) -> set[str] | None:
        """None when the look fails. Then each looks itself, and says for itself what is wrong."""
        try:
            return await self._look([one.webhook for one in asked])
        except AWAY as error:
            why = error_line(error)
            log.warning("webhooks that wait look one by one: %s", why)
        except Exception:
            log.exception("webhooks that wait look one by one")
        return None
