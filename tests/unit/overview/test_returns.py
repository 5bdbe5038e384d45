"""The theoretical return of a bet, and how far single rounds are from it."""

from fractions import Fraction
from typing import Any

import pytest

from games.dice import GAME as DICE
from games.dice import RETURNED, ROLLS
from games.fruit_lines import GAME as FRUIT_LINES
from games.lucky_fruits import GAME as LUCKY_FRUITS
from games.maths import dice_rtp, solve
from overview.returns import return_of


class TestReturnOfABet:
    @pytest.mark.parametrize("count", [10, 5_000, 9_800])
    def test_of_dice_is_that_of_every_roll_in_turn(self, count: int) -> None:
        found = return_of(DICE, 100, {"direction": "under", "target": count})
        assert found is not None
        wins = [Fraction(100 * RETURNED // count, 100)] * count + [Fraction(0)] * (ROLLS - count)
        mean = sum(wins) / ROLLS
        assert found.mean == mean == dice_rtp(100, count)
        assert found.variance == sum((win - mean) ** 2 for win in wins) / ROLLS

    @pytest.mark.parametrize("choice", [None, {}, {"direction": "<b>", "target": 1}])
    def test_of_what_is_no_bet_on_dice_is_not_known(self, choice: dict[str, Any] | None) -> None:
        assert return_of(DICE, 100, choice) is None

    def test_of_a_slot_is_its_exact_mathematics(self) -> None:
        found, solved = return_of(FRUIT_LINES, 10, None), solve(FRUIT_LINES)
        assert found is not None
        assert (found.mean, found.variance, found.at_most) == (solved.rtp, solved.variance, False)

    def test_of_lucky_fruits_is_what_it_states_and_varies_with_what_players_choose(self) -> None:
        found = return_of(LUCKY_FRUITS, 10, None)
        assert found is not None
        assert (found.mean, found.variance) == (Fraction(1_220_057_311, 1_265_625_000), None)

    def test_of_a_game_of_somebody_else_is_not_known(self) -> None:
        class Theirs:
            id, version = "dice", "1.0.0"

        assert return_of(Theirs(), 100, None) is None  # type: ignore[arg-type]  # nothing of it is asked
