"""The registry plays what it was told to, and says plainly when it cannot."""

import json
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest

from games import dice, fruit_lines
from games.registry import PluginError, Registry, UnknownGame

NEXT = replace(fruit_lines.GAME, version="1.10.0")
BETWEEN = replace(fruit_lines.GAME, version="1.9.0")


class Broken:
    @property
    def id(self) -> str:
        raise RuntimeError("no id today")


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("house_games")
    vars(module).update(NEXT=NEXT, NAMELESS=replace(NEXT, title=""), BARE=SimpleNamespace(), BROKEN=Broken())
    monkeypatch.setitem(sys.modules, "house_games", module)
    return "house_games"


class TestRegistry:
    def test_loads_the_built_in_games(self) -> None:
        registry = Registry.load()
        assert registry.get("fruit-lines") is fruit_lines.GAME
        assert registry.get("dice") is dice.GAME

    def test_gives_the_greatest_version_to_new_bets_whatever_the_order(self) -> None:
        for games in ((NEXT, BETWEEN, fruit_lines.GAME), (fruit_lines.GAME, BETWEEN, NEXT)):
            assert Registry(games).get("fruit-lines") is NEXT

    def test_gives_a_round_the_version_it_began_on(self) -> None:
        registry = Registry((NEXT, fruit_lines.GAME))
        assert registry.get("fruit-lines", "1.0.0") is fruit_lines.GAME

    def test_does_not_know_other_games_or_versions(self) -> None:
        registry = Registry((dice.GAME,))
        for game_id, version, said in (
            ("fruit-lines", None, "no such game"),
            ("fruit-lines", "1.0.0", "no such game"),
            ("dice", "0.9.0", "dice has no such version"),
        ):
            with pytest.raises(UnknownGame, match=said):
                registry.get(game_id, version)

    def test_still_does_not_know_a_game_that_was_asked_for(self) -> None:
        registry = Registry((dice.GAME,))
        with pytest.raises(UnknownGame):
            registry.get("chess")
        assert [game["id"] for game in registry.listing()] == ["dice"]

    def test_refuses_the_same_version_twice(self) -> None:
        with pytest.raises(PluginError, match=r"fruit-lines 1\.0\.0: this id and version are loaded already"):
            Registry.load(("games.fruit_lines:GAME", "games.fruit_lines:GAME"))

    def test_loads_a_plug_in_from_outside(self, plugins: str) -> None:
        assert Registry.load((f"{plugins}:NEXT",)).get("fruit-lines", "1.10.0") is NEXT

    @pytest.mark.parametrize(
        ("plugin", "said"),
        [
            ("games.dice", "game 'games.dice': a plug-in is named module:attribute"),
            (":GAME", "a plug-in is named module:attribute"),
            ("no_such_module:GAME", "game no_such_module:GAME: its module does not import: ModuleNotFound"),
            ("games.dice:CHESS", "game games.dice:CHESS: the module has no CHESS"),
            ("house_games:NAMELESS", "game house_games:NAMELESS: title must be"),
            ("house_games:BARE", "game house_games:BARE: it has no id, version"),
            ("house_games:BROKEN", "game house_games:BROKEN: its declaration fails: .*no id today"),
        ],
    )
    def test_names_a_bad_plug_in_and_says_why(self, plugins: str, plugin: str, said: str) -> None:
        with pytest.raises(PluginError, match=said):
            Registry.load((plugin,))


class TestListing:
    def test_shows_each_current_version_by_id(self) -> None:
        listing = Registry((NEXT, fruit_lines.GAME, dice.GAME)).listing()
        assert [(game["id"], game["version"]) for game in listing] == [
            ("dice", "1.0.0"),
            ("fruit-lines", "1.10.0"),
        ]

    def test_shows_what_a_client_needs_to_bet(self) -> None:
        shown = Registry((dice.GAME,)).listing()[0]
        assert shown["stakes"] == list(dice.GAME.stakes)
        assert shown["modes"]["base"]["stakes"] == shown["stakes"]
        assert shown["max_win"] == 990
        assert shown["choice"]["oneOf"][1]["properties"]["target"]["maximum"] == 9_800
        assert "rules" not in shown

    def test_describes_one_game_with_its_rules(self) -> None:
        described = Registry((fruit_lines.GAME,)).describe("fruit-lines")
        assert described["rules"]["lines"][3] == [0, 1, 2, 1, 0]
        assert described["title"] == "Fruit Lines"

    def test_is_json_unchanged(self) -> None:
        registry = Registry.load()
        shown = [registry.listing(), registry.describe("dice"), registry.describe("fruit-lines")]
        assert json.loads(json.dumps(shown, allow_nan=False)) == shown
