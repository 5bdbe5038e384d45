"""The platform's operators: added, found, disabled and enabled."""

from collections.abc import Callable
from typing import Final, Literal

import asyncpg

from contracts.views import OperatorRecord
from storage import operators, sessions

PAGE_LIMIT: Final = 100

Added = Literal["added", "replayed", "reused"]


class Operators:
    """All operators of this casino."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, *, operator_id: str, name: str) -> tuple[Added, OperatorRecord]:
        """A new operator, which has no key yet. `replayed` when the same one is there already, `reused` when
        one of another name is."""
        added = await operators.add(self._pool, operator_id=operator_id, name=name)
        found = await operators.find(self._pool, operator_id)
        assert found is not None
        return "added" if added else "replayed" if found.name == name else "reused", found

    async def find(self, operator_id: str) -> OperatorRecord | None:
        return await operators.find(self._pool, operator_id)

    async def listed(self, *, after: str = "", limit: int = PAGE_LIMIT) -> list[OperatorRecord]:
        """By their ids, those after `after`."""
        return await operators.listed(self._pool, after=after, limit=limit)

    async def enable(self, operator_id: str) -> bool:
        """Returns whether there is such an operator. Its sessions stay ended: players need new ones."""
        return await operators.switch(self._pool, operator_id=operator_id, enabled=True)

    async def disable(self, operator_id: str, *, ended: Callable[[str], None] = lambda _: None) -> int | None:
        """Opens no session of the operator any more, and ends those that are open: the ledger then refuses
        their bets. Rounds under way finish. Returns how many it ended, and tells `ended` their ids; None when
        there is no such operator. Made again, it goes on where it was interrupted."""
        if not await operators.switch(self._pool, operator_id=operator_id, enabled=False):
            return None
        open_ = await operators.open_sessions(self._pool, operator_id=operator_id)
        for session_id in open_:
            await sessions.end_session(self._pool, session_id=session_id, operator_id=operator_id)
            ended(session_id)
        return len(open_)
