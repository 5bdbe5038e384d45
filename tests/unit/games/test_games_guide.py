"""The guide for game developers works as printed."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from games.checks import play_round
from games.draws import HmacDraws, ScriptedDraws
from games.protocol import InvalidChoice, Wager
from games.registry import Registry

PAGES = Path(__file__).parents[3] / "docs" / "game"
GUIDE, FAIRNESS = PAGES / "writing-a-game.md", PAGES / "fairness.md"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(code, str(GUIDE), "exec"), names)  # noqa: S102 (our own page)
    return names


class TestGuide:
    def test_has_an_example_that_loads(self, example: dict[str, Any]) -> None:
        assert Registry([example["GAME"]]).listing()[0]["title"] == "Coin"

    def test_has_an_example_that_plays_as_printed(self, example: dict[str, Any]) -> None:
        wager = Wager(stake=100, choice={"side": "heads"})
        assert play_round(example["GAME"], wager, ScriptedDraws([0])).win == 196
        assert play_round(example["GAME"], wager, ScriptedDraws([1])).win == 0

    def test_has_an_example_that_refuses_other_choices(self, example: dict[str, Any]) -> None:
        for choice in ({}, {"side": "edge"}, {"side": ["heads"]}):
            with pytest.raises(InvalidChoice, match="coin needs the choice"):
                play_round(example["GAME"], Wager(stake=100, choice=choice), ScriptedDraws([0]))

    def test_states_the_examples_exact_return(self, example: dict[str, Any]) -> None:
        game = example["GAME"]
        for stake in game.stakes:
            wager = Wager(stake=stake, choice={"side": "tails"})
            paid = sum(play_round(game, wager, ScriptedDraws([side])).win for side in (0, 1))
            assert Fraction(paid, 2 * stake) == example["RTP"] == Fraction(98, 100)

    def test_prints_vectors_that_the_draws_give(self) -> None:
        rows = re.findall(
            r"^\|[^|]+\| `([^`]+)` \| (\d+) \| \d+ integers below (\d+)[^|]*\| ([\d ]+) \|$",
            FAIRNESS.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        assert len(rows) == 2
        for client_seed, nonce, bound, answers in rows:
            draws = HmacDraws(server_seed=bytes(range(32)), client_seed=client_seed, nonce=int(nonce))
            expected = [int(answer) for answer in answers.split()]
            assert [draws.integer(int(bound)) for _ in expected] == expected
