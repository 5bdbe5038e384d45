"""Which games answer as they promised: the last round of each game says so."""

import logging
from typing import Protocol

from games.protocol import Game

log = logging.getLogger(__name__)


class HealthWatch(Protocol):
    """Hears of failures, and of changes."""

    def failed(self, game_id: str) -> None:
        """A round failed, or a process was lost."""

    def healthy(self, game_id: str, version: str, *, healthy: bool) -> None:
        """The version's last answer was one, or none."""


class GameHealth:
    """A version is unhealthy from a failure to the next round that it answers."""

    def __init__(self, watch: HealthWatch) -> None:
        self._watch = watch
        self._unhealthy: set[tuple[str, str]] = set()

    def failed(self, game: Game, why: str) -> None:
        """`why` names the game."""
        self._watch.failed(game.id)
        version = (game.id, game.version)
        if version not in self._unhealthy:
            self._unhealthy.add(version)
            self._watch.healthy(*version, healthy=False)
            log.error("a game is unhealthy: %s", why)

    def answered(self, game: Game) -> None:
        version = (game.id, game.version)
        if version in self._unhealthy:
            self._unhealthy.discard(version)
            self._watch.healthy(*version, healthy=True)
            log.warning("game %s %s is healthy again", *version)
