"""Rounds as they are stored, and those that have only begun: one, a player's, an operator's."""

from collections.abc import Sequence
from typing import Final

from contracts.records import RoundRecord
from contracts.rounds import RoundKey
from contracts.views import RoundFilter, RoundView, round_begun
from runtime.round_workflows import RoundWorkflows
from storage import history, pending, restores, rounds, sessions, timeline
from storage.database import Database

# Of one id at one operator; one more than can be told apart without the player's name.
SEVERAL: Final = 2


class ResultService:
    """Reads rounds; they are written by their workflows alone."""

    def __init__(self, database: Database, workflows: RoundWorkflows) -> None:
        self._database = database
        self._workflows = workflows

    async def find(self, key: RoundKey) -> RoundView | None:
        """The round as it is stored."""
        return await rounds.find(self._database.pool, key)

    async def was_lost(self, key: RoundKey) -> bool:
        """Whether the round was lost with a restore of the ledger."""
        return await restores.was_lost(self._database.pool, key)

    async def begun(self, key: RoundKey) -> RoundView | None:
        """A round that `find` has not found, by what else knows it: the bet that its operator's wallet is
        asked for, or its workflow's input. None when there is none, when its bet was refused without a
        record, and when it was lost with a restore. Raises TemporalAway, and one of CANNOT_OPEN when the
        input does not open."""
        if (asked := await pending.find(self._database.pool, key)) is not None:
            return asked
        began = await self._workflows.begun(key.workflow_id)
        if began is None:
            return None
        stored = await self.find(key)  # it may have come between the two reads
        if stored is not None or began.completed or await self.was_lost(key):
            return stored
        return round_begun(began.bet, began.at)

    async def look_up(self, key: RoundKey) -> RoundView | None:
        """The round as it is stored, or else as it has begun. Raises as `begun` does."""
        return await self.find(key) or await self.begun(key)

    async def of_id(self, wanted: RoundFilter) -> Sequence[RoundView]:
        """At most SEVERAL rounds of the filter's id. One that only its workflow knows is looked for where
        there is no other. Raises as `begun` does."""
        found, _ = await self.page(wanted, limit=SEVERAL)
        return found or await self._in_workflows(wanted)

    async def _in_workflows(self, wanted: RoundFilter) -> Sequence[RoundView]:
        round_id, operator_id, player_key = wanted.round_id, wanted.operator_id, wanted.player_key
        assert round_id is not None
        assert isinstance(operator_id, str), "an operator asks for its own rounds alone"
        if player_key is None:
            keys = await self._workflows.unfinished(round_id, operator_id=operator_id)
        else:
            keys = [RoundKey(operator_id=operator_id, player_key=player_key, round_id=round_id)]
        found = [await self.begun(key) for key in keys]
        return [view for view in found if view is not None and view.demo == wanted.demo]

    async def sequence(self, player_key: int) -> int | None:
        """The sequence of the player's last event; None for an unknown player."""
        return await rounds.sequence(self._database.pool, player_key)

    async def closed_after(self, player_key: int, *, sequence: int, limit: int) -> list[RoundView]:
        """At most `limit` of the player's rounds that closed after `sequence`, in that order."""
        return await rounds.closed_after(
            self._database.pool, player_key=player_key, sequence=sequence, limit=limit
        )

    async def record(self, key: RoundKey, begun: RoundView | None = None) -> RoundRecord:
        """Everything that is stored of the round as of one moment. `begun` stands for its row where it has
        none yet."""
        return await timeline.record(self._database.pool, key, begun)

    async def open_round(self, *, player_key: int, game_id: str) -> str | None:
        """The round that the player's next bet of the game is refused for."""
        return await sessions.open_round(self._database.pool, player_key=player_key, game_id=game_id)

    async def page(
        self, wanted: RoundFilter, *, before: int | None = None, limit: int
    ) -> tuple[list[RoundView], int | None]:
        """At most `limit` rounds that pass the filter, and where the next page begins: first those that wait
        for their wallet's answer and have no row yet, then the stored ones; newest first."""
        pool = self._database.pool
        begun, following = await pending.page(pool, wanted, before=before, limit=limit)
        if len(begun) == limit:
            return begun, following or pending.END
        rows_before = None if before is None or before >= pending.END else before
        stored, following = await history.page(pool, wanted, before=rows_before, limit=limit - len(begun))
        known = {view.key for view in begun}  # one of them may have got its row between the two reads
        return begun + [view for view in stored if view.key not in known], following
