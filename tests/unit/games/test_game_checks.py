"""No wager reaches a game, and no step leaves one, unless it is what the protocol promises."""

import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from games import dice, fruit_lines
from games.checks import (
    DEPTH_LIMIT,
    SIZE_LIMIT,
    ActionRefused,
    DeclarationError,
    GameError,
    check_declaration,
    check_wager,
    failure,
    is_json,
    ladder,
    play_round,
    win_limit,
)
from games.draws import ScriptedDraws
from games.protocol import (
    Choice,
    Chosen,
    Draws,
    InvalidChoice,
    JsonObject,
    Mode,
    Offer,
    StakeNotAllowed,
    Step,
    UnknownMode,
    Wager,
)

PLAIN = Mode(description="plain")
UNDER = {"direction": "under", "target": 5_000}


@dataclass(kw_only=True)
class Puppet:
    """A game that answers whatever the test puts in `step`."""

    id: str = "puppet"
    version: str = "1.0.0"
    title: str = "Puppet"
    modes: Any = field(
        default_factory=lambda: {
            "base": Mode(description="plain"),
            "dear": Mode(description="dear", stake_multiplier=3),
        }
    )
    stakes: Any = (10, 20)
    max_win: Any = 5
    choice_schema: Any = None
    rules: Any = field(default_factory=dict)
    step: Any = None

    def validate(self, wager: Wager) -> None:
        pass

    def play(
        self, wager: Wager, draws: Draws, state: JsonObject | None = None, chosen: Chosen | None = None
    ) -> Step:
        step: Step = self.step
        return step


class TestCheckWager:
    @pytest.mark.parametrize("stake", fruit_lines.GAME.stakes)
    def test_takes_every_step_of_the_ladder(self, stake: int) -> None:
        check_wager(fruit_lines.GAME, Wager(stake=stake))

    @pytest.mark.parametrize("stake", [0, -10, 1, 15, 10_001, 2**63, True, "10", None])
    def test_refuses_a_stake_off_the_ladder_and_names_those_on_it(self, stake: Any) -> None:
        with pytest.raises(StakeNotAllowed, match="minor units: 10, 20, 50"):
            check_wager(fruit_lines.GAME, Wager(stake=stake))

    def test_refuses_a_stake_that_only_equals_one_on_the_ladder(self) -> None:
        with pytest.raises(StakeNotAllowed):
            check_wager(fruit_lines.GAME, Wager(stake=10.0))  # type: ignore[arg-type]

    @pytest.mark.parametrize("mode", ["Base", "", "buy", None, ["base"]])
    def test_refuses_an_unknown_mode_and_names_the_known(self, mode: Any) -> None:
        with pytest.raises(UnknownMode, match="it offers: base"):
            check_wager(fruit_lines.GAME, Wager(stake=10, mode=mode))

    def test_multiplies_the_ladder_by_the_mode(self) -> None:
        assert ladder(Puppet(), "dear") == (30, 60)
        check_wager(Puppet(), Wager(stake=60, mode="dear"))
        with pytest.raises(StakeNotAllowed):
            check_wager(Puppet(), Wager(stake=20, mode="dear"))

    def test_refuses_a_choice_that_the_game_does_not_take(self) -> None:
        with pytest.raises(InvalidChoice, match="takes no choice"):
            check_wager(fruit_lines.GAME, Wager(stake=10, choice={}))

    def test_refuses_a_missing_choice(self) -> None:
        with pytest.raises(InvalidChoice, match="needs a choice"):
            check_wager(dice.GAME, Wager(stake=100))

    @pytest.mark.parametrize("choice", [[], "under", 1, True])
    def test_refuses_a_choice_that_is_no_object_before_the_game_sees_it(self, choice: Any) -> None:
        with pytest.raises(InvalidChoice, match="JSON object"):
            check_wager(Puppet(choice_schema={"type": "object"}), Wager(stake=10, choice=choice))

    def test_asks_the_game_about_the_choice(self) -> None:
        check_wager(dice.GAME, Wager(stake=100, choice=UNDER))
        with pytest.raises(InvalidChoice, match="direction"):
            check_wager(dice.GAME, Wager(stake=100, choice=UNDER | {"direction": "up"}))

    def test_gives_each_refusal_its_problem_code(self) -> None:
        assert (UnknownMode.code, StakeNotAllowed.code, InvalidChoice.code) == (
            "invalid",
            "stake-not-allowed",
            "unknown-choice",
        )


class TestWinLimit:
    def test_is_in_multiples_of_the_step_of_the_ladder(self) -> None:
        assert win_limit(Puppet(), Wager(stake=20)) == 100
        assert win_limit(Puppet(), Wager(stake=60, mode="dear")) == 100


class TestPlayRound:
    WAGER = Wager(stake=10)

    def play(self, step: Any, wager: Wager = WAGER) -> Step:
        return play_round(Puppet(step=step), wager, ScriptedDraws([]))

    @pytest.mark.parametrize("win", [0, 1, 50])
    def test_passes_on_a_step_that_keeps_the_contract(self, win: int) -> None:
        offer = Offer(
            choices=[Choice(action="go", params={"where": [1, "up", True]}, debit=5), Choice(action="stay")],
            default=Chosen(action="stay"),
            decide_within_s=60,
        )
        step = Step(outcome={"a": [1, None, True, "x"]}, win=win, offer=offer, state={})
        assert self.play(step) is step

    def test_does_not_play_a_wager_that_is_refused(self) -> None:
        with pytest.raises(StakeNotAllowed):
            self.play(Step(outcome={}, win=0), Wager(stake=11))

    @pytest.mark.parametrize("win", [-1, 51, 1.0, True, None, "1"])
    def test_refuses_a_win_that_is_no_integer_within_the_limit(self, win: Any) -> None:
        with pytest.raises(GameError, match=r"puppet 1\.0\.0 pays outside 0\.\.50"):
            self.play(Step(outcome={}, win=win))

    @pytest.mark.parametrize("outcome", [None, [], {"a": 0.5}, {"a": (1, 2)}, {1: 2}, {"a": [{"b": 2**53}]}])
    def test_refuses_an_outcome_that_json_would_change(self, outcome: Any) -> None:
        with pytest.raises(GameError, match="outcome"):
            self.play(Step(outcome=outcome, win=0))

    STAY = Choice(action="stay")

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"choices": []}, "not one choice"),
            ({"choices": [STAY] * 21}, "more than 20"),
            ({"choices": [STAY, STAY]}, "one name"),
            ({"choices": [STAY, Choice(action="Up")]}, "name"),
            ({"choices": [STAY, Choice(action="go", debit=-1)]}, "less than nothing"),
            ({"choices": [STAY, Choice(action="go", debit=True)]}, "less than nothing"),
            ({"choices": [STAY, Choice(action="go", params={"to": []})]}, "no value"),
            ({"choices": [STAY, Choice(action="go", params={"to": [None]})]}, "no short text"),  # type: ignore[list-item]
            ({"choices": [STAY, Choice(action="go", params={"to": [2**53]})]}, "no short text"),
            ({"choices": [STAY, Choice(action="go", params={"to": ["x" * 300]})]}, "no short text"),
            ({"choices": [STAY, Choice(action="go", params={"to": ["\0"]})]}, "no short text"),
            ({"default": Chosen(action="go")}, "default"),
            ({"choices": [Choice(action="stay", debit=1)]}, "costs something"),
            ({"decide_within_s": 0}, "time to decide"),
            ({"decide_within_s": 31 * 86_400}, "time to decide"),
        ],
    )
    def test_refuses_an_offer_that_nobody_could_take(self, changes: dict[str, Any], problem: str) -> None:
        whole: dict[str, Any] = {
            "choices": [self.STAY],
            "default": Chosen(action="stay"),
            "decide_within_s": 60,
            **changes,
        }
        with pytest.raises(GameError, match=problem):
            self.play(Step(outcome={}, win=0, offer=Offer(**whole)))

    def test_refuses_an_action_that_is_not_offered(self) -> None:
        with pytest.raises(ActionRefused):
            play_round(
                Puppet(step=Step(outcome={}, win=0)), self.WAGER, ScriptedDraws([]), [Chosen(action="go")]
            )

    @pytest.mark.parametrize("state", [[], {"a": {1, 2}}])
    def test_refuses_a_state_that_json_would_change(self, state: Any) -> None:
        with pytest.raises(GameError, match="state"):
            self.play(Step(outcome={}, win=0, state=state))

    def test_refuses_what_is_no_step(self) -> None:
        with pytest.raises(GameError, match="answered a dict, not a Step"):
            self.play({"win": 0})


class Leaving(Puppet):
    """A game that ends its process."""

    def validate(self, wager: Wager) -> None:
        if wager.stake == 20:
            raise SystemExit(0)

    def play(
        self, wager: Wager, draws: Draws, state: JsonObject | None = None, chosen: Chosen | None = None
    ) -> Step:
        raise GeneratorExit


class TestAGameThatFails:
    def test_does_not_end_the_program(self) -> None:
        with pytest.raises(GameError, match=r"^puppet 1\.0\.0 answered with SystemExit$"):
            check_wager(Leaving(), Wager(stake=20))
        with pytest.raises(GameError, match=r"^puppet 1\.0\.0 answered with GeneratorExit$"):
            play_round(Leaving(), Wager(stake=10), ScriptedDraws([]))

    def test_is_named_with_the_place_and_without_its_own_words(self) -> None:
        try:
            ScriptedDraws([7]).integer(5)
        except ValueError as error:
            said = failure(Puppet(), error)
        assert re.fullmatch(r"puppet 1\.0\.0 raised ValueError at draws\.py:\d+", said)
        assert failure(Puppet(), GameError("puppet 1.0.0 pays\0\nout\ud800side")) == (
            "puppet 1.0.0 pays  out side"
        )


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


class TestIsJson:
    scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT

    @given(st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))
    def test_accepts_all_that_survives(self, value: Any) -> None:
        assert is_json(value)

    @given(
        st.floats()
        | st.binary()
        | st.tuples(st.integers())
        | st.sets(st.text())
        | st.integers(min_value=2**53)
    )
    def test_refuses_the_rest_however_deep(self, value: Any) -> None:
        assert not is_json(value)
        assert not is_json({"a": [0, {"b": value}]})

    @pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "é\udfff"])
    def test_refuses_text_that_a_database_or_a_client_does_not_take(self, text: str) -> None:
        assert not is_json(text)
        assert not is_json({text: 1})
        assert not is_json([{"a": text}])

    def test_refuses_what_is_too_large_and_stops_reading_there(self) -> None:
        assert is_json("x" * (SIZE_LIMIT - 2))
        assert not is_json("x" * SIZE_LIMIT)
        assert not is_json([0] * SIZE_LIMIT)
        assert not is_json({str(n): "x" * 100 for n in range(SIZE_LIMIT // 100)})
        endless: list[Any] = []
        endless += [endless, endless]
        assert not is_json(endless)

    def test_refuses_what_is_too_deep(self) -> None:
        nested: list[Any] = []
        for _ in range(DEPTH_LIMIT - 1):
            nested = [nested]
        assert is_json(nested)
        assert not is_json([nested])
        assert not is_json({"a": nested})


class TestCheckDeclaration:
    @pytest.mark.parametrize("game", [fruit_lines.GAME, dice.GAME, Puppet()])
    def test_accepts_a_sound_game(self, game: object) -> None:
        check_declaration(game)

    @pytest.mark.parametrize(
        ("broken", "said"),
        [
            ({"id": ""}, "id must be"),
            ({"id": "Has.Dots"}, "id must be"),
            ({"id": "a" * 65}, "id must be"),
            ({"id": "a\n"}, "id must be"),
            ({"version": "1.0"}, "MAJOR.MINOR.PATCH"),
            ({"version": "01.0.0"}, "MAJOR.MINOR.PATCH"),
            ({"version": 1}, "MAJOR.MINOR.PATCH"),
            ({"title": ""}, "title must be"),
            ({"title": "x" * 101}, "title must be"),
            ({"title": "\ud800"}, "title must be"),
            ({"modes": {"base": Mode(description="\0")}}, "mode base must be a Mode"),
            ({"rules": {"a": "\0"}}, "rules must be"),
            ({"modes": {}}, '"base"'),
            ({"modes": ["base"]}, '"base"'),
            ({"modes": {"base": "plain"}}, "mode base must be a Mode"),
            ({"modes": {"base": Mode(description="x", stake_multiplier=2)}}, "base mode's stake_multiplier"),
            (
                {"modes": {"base": Mode(description="x"), "b": Mode(description="x", stake_multiplier=0)}},
                "mode b needs",
            ),
            ({"stakes": ()}, "stakes must be"),
            ({"stakes": [10, 20]}, "stakes must be"),
            ({"stakes": (0, 10)}, "stakes must be"),
            ({"stakes": (10, True)}, "stakes must be"),
            ({"stakes": (10, 20.0)}, "stakes must be"),
            ({"stakes": (20, 10)}, "ascend"),
            ({"stakes": (10, 10)}, "ascend"),
            ({"max_win": 0}, "max_win"),
            ({"max_win": 1.5}, "max_win"),
            ({"max_win": 2**53}, "exceeds"),
            ({"modes": {"base": PLAIN, "b": Mode(description="x", stake_multiplier=2**53)}}, "exceeds"),
            ({"choice_schema": [1]}, "choice_schema must be"),
            ({"rules": {"rtp": 0.96}}, "rules must be"),
            ({"validate": lambda: None}, "validate must take"),
            ({"play": lambda wager, draws: None}, "play must take"),
            ({"play": None}, "play must take"),
        ],
    )
    def test_says_what_is_wrong(self, broken: dict[str, Any], said: str) -> None:
        puppet = Puppet()
        for name, value in broken.items():
            setattr(puppet, name, value)
        with pytest.raises(DeclarationError, match=said):
            check_declaration(puppet)

    def test_names_everything_that_is_missing(self) -> None:
        with pytest.raises(DeclarationError, match="has no version, title, modes, stakes, max_win"):
            check_declaration(SimpleNamespace(id="x"))
