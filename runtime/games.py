"""The games that the settings name, under the settings' limits, and the open rounds that miss theirs."""

import logging
from contextlib import AbstractAsyncContextManager

import asyncpg

from games.registry import Registry, UnknownGame
from hosting import games
from hosting.health import GameHealth
from hosting.process import Limits
from runtime.settings import Settings
from storage import rounds

log = logging.getLogger(__name__)


def opened(settings: Settings, health: GameHealth | None = None) -> AbstractAsyncContextManager[Registry]:
    """All games of the settings. Raises PluginError on entering."""
    limits = Limits(
        answer_s=settings.game_answer_s,
        processor_s=settings.game_processor_s,
        memory_mib=settings.game_memory_mib,
        processes=settings.game_processes,
    )
    return games.opened(settings.games, limits, health)


async def name_missing(pool: asyncpg.Pool, registry: Registry) -> None:
    """Logs which open rounds began on a game, or a version of one, that is not among the games here: they
    wait for it."""
    for waiting in await rounds.open_by_game(pool):
        try:
            registry.get(waiting.game_id, waiting.game_version)
        except UnknownGame:
            log.error(
                "%d open rounds began on %s %s, which is not among the games of this ingress: load it again,"
                " or void them; the first: %s",
                *(waiting.rounds, waiting.game_id, waiting.game_version, ", ".join(waiting.first)),
            )
