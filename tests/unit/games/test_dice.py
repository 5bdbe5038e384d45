"""Dice pays what it says on every roll, and takes no bet but its own."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from games.checks import play_round
from games.dice import COUNT_MAX, COUNT_MIN, GAME, payout, winning_rolls
from games.draws import ScriptedDraws
from games.maths import dice_rtp
from games.protocol import InvalidChoice, JsonObject, Step, Wager


def bet(direction: str, target: int) -> JsonObject:
    return {"direction": direction, "target": target}


def roll(choice: JsonObject, value: int, stake: int = 100) -> Step:
    return play_round(GAME, Wager(stake=stake, choice=choice), ScriptedDraws([value]))


class TestDice:
    @pytest.mark.parametrize(
        ("choice", "value", "won"),
        [
            (bet("over", 4_950), 4_951, True),
            (bet("over", 4_950), 4_950, False),
            (bet("under", 4_950), 4_949, True),
            (bet("under", 4_950), 4_950, False),
            (bet("under", 10), 0, True),
            (bet("over", 9_989), 9_999, True),
        ],
    )
    def test_compares_the_roll_strictly(self, choice: JsonObject, value: int, won: bool) -> None:
        step = roll(choice, value)
        assert step.outcome["won"] is won
        assert (step.win > 0) is won

    def test_shows_the_roll_the_bet_and_the_win(self) -> None:
        assert roll(bet("under", 4_950), 17) == Step(
            outcome={"roll": 17, "direction": "under", "target": 4_950, "won": True, "win": 200}, win=200
        )

    @pytest.mark.parametrize(("target", "paid"), [(9_800, 101), (3_333, 297), (5_000, 198), (10, 99_000)])
    def test_rounds_the_payout_down(self, target: int, paid: int) -> None:
        assert roll(bet("under", target), 0).win == paid

    def test_reaches_its_maximum_win(self) -> None:
        assert roll(bet("under", 10), 9, stake=100_000).win == GAME.max_win * 100_000

    @pytest.mark.parametrize(
        "choice", [bet("over", 199), bet("over", 9_989), bet("under", 10), bet("under", 3_333)]
    )
    def test_wins_on_exactly_the_rolls_it_counts(self, choice: JsonObject) -> None:
        wins = [roll(choice, value).win for value in range(10_000)]
        count = winning_rolls(choice)
        assert sum(win > 0 for win in wins) == count
        assert Fraction(sum(wins), 10_000 * 100) == dice_rtp(100, count)

    def test_returns_what_its_docstring_states_on_every_bet_there_is(self) -> None:
        every = [dice_rtp(stake, count) for stake in GAME.stakes for count in range(COUNT_MIN, COUNT_MAX + 1)]
        assert min(every) >= Fraction(9_802, 10_000)
        assert max(every) == Fraction(99, 100)

    @given(stake=st.sampled_from(GAME.stakes), count=st.integers(COUNT_MIN, COUNT_MAX))
    def test_never_pays_less_than_the_stake_or_more_than_the_maximum(self, stake: int, count: int) -> None:
        assert stake < payout(stake, count) <= stake * GAME.max_win

    def test_draws_once(self) -> None:
        script = ScriptedDraws([1, 7])
        play_round(GAME, Wager(stake=100, choice=bet("under", 10)), script)
        assert script.integer(10) == 7


class TestDiceChoice:
    @pytest.mark.parametrize(("direction", "low", "high"), [("over", 199, 9_989), ("under", 10, 9_800)])
    def test_takes_targets_up_to_its_limits_and_states_them(
        self, direction: str, low: int, high: int
    ) -> None:
        winning_rolls(bet(direction, low))
        winning_rolls(bet(direction, high))
        for target in (low - 1, high + 1, -1, 10_000, 10**30):
            with pytest.raises(InvalidChoice, match=rf"{direction} must be in {low}\.\.{high}"):
                winning_rolls(bet(direction, target))

    def test_counts_the_winning_rolls(self) -> None:
        assert winning_rolls(bet("over", 9_989)) == 10
        assert winning_rolls(bet("over", 199)) == 9_800
        assert winning_rolls(bet("under", 42)) == 42

    @pytest.mark.parametrize("target", [True, 50.0, "50", None, [50], float("nan")])
    def test_refuses_a_target_that_is_no_integer(self, target: Any) -> None:
        with pytest.raises(InvalidChoice, match="target must be an integer"):
            winning_rolls(bet("under", target))

    @pytest.mark.parametrize("direction", ["OVER", "", None, 1, ["over"], {"over": 1}])
    def test_refuses_other_directions(self, direction: Any) -> None:
        with pytest.raises(InvalidChoice, match="direction must be"):
            winning_rolls(bet(direction, 5_000))

    @pytest.mark.parametrize(
        "choice",
        [None, {}, [], "over", {"target": 5_000}, {"direction": "over"}, bet("over", 5_000) | {"stake": 1}],
    )
    def test_refuses_missing_and_unknown_keys(self, choice: Any) -> None:
        with pytest.raises(InvalidChoice, match="dice needs the choice"):
            winning_rolls(choice)

    def test_never_repeats_what_the_client_sent(self) -> None:
        with pytest.raises(InvalidChoice) as refused:
            winning_rolls({"direction": "<script>", "target": 5_000})
        assert "script" not in str(refused.value)
