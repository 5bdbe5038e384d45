"""The games this process plays: an explicit list of plug-ins, each checked once, found by id and version."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Final

from games.checks import DeclarationError, check_declaration, ladder, version_order
from games.protocol import Game, JsonObject

# The games that come with Croupier. A version stays listed for as long as a round may still be open on it.
BUILT_IN: Final = ("games.fruit_lines:GAME", "games.lucky_fruits:GAME", "games.dice:GAME")


class UnknownGame(LookupError):
    """No loaded game has this id, or this version of it."""


class PluginError(ImportError):
    """A plug-in that cannot be loaded. The message names it and says why."""


class Registry:
    """All loaded games. Read-only once made, so every thread and task may share one."""

    __slots__ = ("_current", "_games")

    def __init__(self, games: Iterable[Game]) -> None:
        """Raises PluginError when a game's declaration is bad, or an (id, version) is there twice."""
        by_id: defaultdict[str, dict[str, Game]] = defaultdict(dict)
        for game in games:
            _check(game, _named(game))
            if game.version in by_id[game.id]:
                raise PluginError(f"game {_named(game)}: this id and version are loaded already")
            by_id[game.id][game.version] = game
        self._games = dict(by_id)
        self._current = {id_: max(all_, key=version_order) for id_, all_ in by_id.items()}

    @classmethod
    def load(cls, plugins: Iterable[str] = BUILT_IN) -> "Registry":
        """The registry of the plug-ins named "module:attribute". Raises PluginError."""
        return cls([load_plugin(plugin) for plugin in plugins])

    def get(self, game_id: str, version: str | None = None) -> Game:
        """The version that takes new bets or, for a round under way, the one it began on.

        Raises UnknownGame.
        """
        versions = self._games.get(game_id)
        if versions is None:
            raise UnknownGame("there is no such game")
        game = versions.get(self._current[game_id] if version is None else version)
        if game is None:
            raise UnknownGame(f"{game_id} has no such version here")
        return game

    def __iter__(self) -> Iterator[Game]:
        """Every version of every game."""
        return (game for versions in self._games.values() for game in versions.values())

    def listing(self) -> list[JsonObject]:
        """Each game's current version, by id, as GET /v1/games shows it. Stakes are in minor units."""
        return [summary(self.get(game_id)) for game_id in sorted(self._games)]

    def describe(self, game_id: str) -> JsonObject:
        """One game as GET /v1/games/{id} shows it: the listing's entry and `rules`. Raises UnknownGame."""
        game = self.get(game_id)
        return summary(game) | {"rules": game.rules}


def summary(game: Game) -> JsonObject:
    """The game as JSON: id, version, title, modes (each with its own ladder), stakes, max_win, choice."""
    modes = {
        name: {
            "description": mode.description,
            "stake_multiplier": mode.stake_multiplier,
            "stakes": list(ladder(game, name)),
        }
        for name, mode in game.modes.items()
    }
    return {
        "id": game.id,
        "version": game.version,
        "title": game.title,
        "modes": modes,
        "stakes": list(game.stakes),
        "max_win": game.max_win,
        "choice": game.choice_schema,
    }


def load_plugin(plugin: str) -> Game:
    """The game named "module:attribute", in this process. Raises PluginError."""
    module_name, colon, attribute = plugin.partition(":")
    if not (module_name and colon and attribute):
        raise PluginError(f"game {plugin!r}: a plug-in is named module:attribute")
    try:
        module = import_module(module_name)
    except (Exception, SystemExit) as error:
        raise PluginError(f"game {plugin}: its module does not import: {error!r}") from error
    if not hasattr(module, attribute):
        raise PluginError(f"game {plugin}: the module has no {attribute}")
    game: Game = getattr(module, attribute)
    _check(game, plugin)
    return game


def _check(game: Game, name: str) -> None:
    try:
        check_declaration(game)
    except DeclarationError as error:
        raise PluginError(f"game {name}: {error}") from error
    except Exception as error:  # a declaration may be computed, and so fail in any way
        raise PluginError(f"game {name}: its declaration fails: {error!r}") from error


def _named(game: Game) -> str:
    return f"{getattr(game, 'id', game)} {getattr(game, 'version', '')}".rstrip()
