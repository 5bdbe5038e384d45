"""Rounds as they are stored: one, a player's, an operator's."""

from contracts.records import RoundRecord
from contracts.rounds import RoundKey
from contracts.views import RoundFilter, RoundView
from storage import history, rounds, sessions, timeline
from storage.database import Database


class ResultService:
    """Reads rounds; they are written by their workflows alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key: RoundKey) -> RoundView | None:
        return await rounds.find(self._database.pool, key)

    async def sequence(self, player_key: int) -> int | None:
        """The sequence of the player's last event; None for an unknown player."""
        return await rounds.sequence(self._database.pool, player_key)

    async def closed_after(self, player_key: int, *, sequence: int, limit: int) -> list[RoundView]:
        """At most `limit` of the player's rounds that closed after `sequence`, in that order."""
        return await rounds.closed_after(
            self._database.pool, player_key=player_key, sequence=sequence, limit=limit
        )

    async def record(self, key: RoundKey) -> RoundRecord:
        """Everything that is stored of the round, which must be there, as of one moment."""
        return await timeline.record(self._database.pool, key)

    async def open_round(self, *, player_key: int, game_id: str) -> str | None:
        return await sessions.open_round(self._database.pool, player_key=player_key, game_id=game_id)

    async def page(
        self, wanted: RoundFilter, *, before: int | None = None, limit: int
    ) -> tuple[list[RoundView], int | None]:
        """At most `limit` rounds that pass the filter, newest first, and where the next page begins."""
        return await history.page(self._database.pool, wanted, before=before, limit=limit)
