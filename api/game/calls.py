"""Finding a game that an operator names."""

from api.gateway.problems import Problem
from games.protocol import Game
from games.registry import Registry, UnknownGame


def known_game(game_id: str, games: Registry) -> Game:
    """Its current version. Raises the problem `not-found`."""
    try:
        return games.get(game_id)
    except UnknownGame:
        raise Problem("not-found", "There is no such game; GET /v1/games lists them.") from None
