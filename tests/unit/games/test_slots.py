"""The slot engine keeps its rules, and its exact mathematics agrees with playing everything there is."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import pytest

from games.checks import play_round
from games.draws import ScriptedDraws
from games.maths import line_slot_rtp, percent, solve, spin_counts
from games.protocol import Step, Wager
from games.slots import FreeSpins, LineSlot

# Small enough to play every sequence of draws: 36 results a spin, at most two free spins.
TINY = LineSlot(
    id="tiny",
    version="1.0.0",
    title="Tiny",
    stakes=(2, 10),
    max_win=1_000,
    symbols={"A": "ace", "B": "bee", "W": "wild", "S": "star"},
    reels=("AABS", "AWS", "ABS"),
    rows=1,
    lines=((0, 0, 0),),
    wild="W",
    scatter="S",
    line_pays={"A": {2: 1, 3: 7}, "B": {3: 4}},
    scatter_pays={2: 1, 3: 5},
    free_spins=FreeSpins(awards={2: 1, 3: 2}, maximum=2, multiplier=3),
)
# Two rows and two lines, so that wins come together and lines end apart.
WIDE = replace(
    TINY,
    id="wide",
    rows=2,
    lines=((0, 0, 0), (1, 0, 1)),
    free_spins=FreeSpins(awards={3: 1}, maximum=2, multiplier=2),
)


def play(slot: LineSlot, *stops: int, stake: int = 2) -> Step:
    return play_round(slot, Wager(stake=stake), ScriptedDraws(stops))


def everything(slot: LineSlot) -> Iterator[Step]:
    """A step for every sequence of draws that could be asked for; all of them are equally likely."""
    spin = list(product(*(range(len(strip)) for strip in slot.reels)))
    for stops in product(spin, repeat=1 + slot.free_spins.maximum):
        yield slot.play(Wager(stake=2), ScriptedDraws(stop for spin_stops in stops for stop in spin_stops))


class TestLineSlot:
    def test_pays_the_longest_run_only(self) -> None:
        assert play(TINY, 0, 0, 0).outcome["spins"][0]["lines"] == [
            {"line": 0, "symbol": "A", "count": 3, "win": 14}
        ]
        assert play(TINY, 0, 0, 1).outcome["spins"][0]["lines"] == [
            {"line": 0, "symbol": "A", "count": 2, "win": 2}
        ]

    def test_lets_the_wild_stand_for_any_symbol_of_the_first_reel(self) -> None:
        assert play(TINY, 0, 1, 0).win == 14
        assert play(TINY, 2, 1, 1).win == 8

    def test_does_not_let_the_wild_stand_for_the_scatter(self) -> None:
        assert play(TINY, 3, 1, 1).outcome["spins"] == [
            {"stops": [3, 1, 1], "grid": ["SWB"], "lines": [], "scatters": None, "multiplier": 1, "win": 0}
        ]

    def test_pays_no_run_that_starts_later(self) -> None:
        assert play(TINY, 2, 0, 0).win == 0

    def test_wraps_the_strip_round(self) -> None:
        spin = play(WIDE, 3, 0, 1).outcome["spins"][0]
        assert spin["grid"] == ["SAB", "AWS"]

    def test_shows_rows_from_the_top_and_which_line_won(self) -> None:
        spin = play(WIDE, 3, 0, 2, 2, 0, 0).outcome["spins"][0]
        assert spin["grid"] == ["SAS", "AWA"]
        assert spin["lines"] == [{"line": 1, "symbol": "A", "count": 3, "win": 7}]

    def test_pays_scatters_by_the_whole_stake(self) -> None:
        spin = play(WIDE, 3, 2, 0, stake=10).outcome["spins"][0]
        assert spin["scatters"] == {"count": 2, "win": 10, "free_spins": 0}

    def test_plays_free_spins_inside_the_round_multiplied(self) -> None:
        step = play(TINY, 3, 2, 0, 0, 0, 0)
        first, free = step.outcome["spins"]
        assert first["scatters"] == {"count": 2, "win": 2, "free_spins": 1}
        assert (free["multiplier"], free["win"], free["scatters"]) == (3, 42, None)
        assert step.win == step.outcome["total"] == 44

    def test_awards_free_spins_for_scatters_that_pay_nothing(self) -> None:
        spins = play(replace(TINY, scatter_pays={}), 3, 2, 0, 0, 0, 0).outcome["spins"]
        assert spins[0]["scatters"] == {"count": 2, "win": 0, "free_spins": 1}
        assert spins[1]["win"] == 42

    def test_multiplies_scatters_in_free_spins_and_awards_more(self) -> None:
        spins = play(TINY, 3, 2, 0, 3, 2, 0, 2, 0, 0).outcome["spins"]
        assert spins[1]["scatters"] == {"count": 2, "win": 6, "free_spins": 1}
        assert len(spins) == 3

    def test_never_plays_more_free_spins_than_the_maximum(self) -> None:
        spins = play(TINY, 3, 2, 2, 3, 2, 2, 3, 2, 2).outcome["spins"]
        assert [spin["scatters"]["free_spins"] for spin in spins] == [2, 0, 0]

    def test_cuts_the_win_at_max_win_and_says_so(self) -> None:
        low = replace(TINY, max_win=20)
        step = play(low, 3, 2, 0, 0, 0, 0)
        assert (step.win, step.outcome["total"], step.outcome["capped"]) == (40, 40, True)
        assert play(low, 0, 0, 0).outcome["capped"] is False

    def test_does_not_call_a_win_of_exactly_max_win_cut(self) -> None:
        step = play(replace(TINY, max_win=7), 0, 0, 0)
        assert (step.win, step.outcome["capped"]) == (14, False)

    @pytest.mark.parametrize("stake", [0, -2, 3, 4])
    def test_will_not_play_a_stake_that_nobody_checked(self, stake: int) -> None:
        with pytest.raises(AssertionError, match="checked"):
            TINY.play(Wager(stake=stake), ScriptedDraws([0, 0, 0]))

    @pytest.mark.parametrize(
        ("broken", "said"),
        [
            ({"rows": 0}, "no rows or no reels"),
            ({"reels": ()}, "no rows or no reels"),
            ({"reels": ("AAB", "", "AB")}, "shorter than the rows"),
            ({"rows": 4}, "shorter than the rows"),
            ({"symbols": {"A": "ace", "B": "bee", "W": "wild"}}, "has no name"),
            ({"symbols": {"AB": "both", **TINY.symbols}}, "more than one character"),
            ({"line_pays": {"A": {3: 7}}}, "line_pays must have every symbol"),
            ({"wild": "S"}, "are one symbol"),
            ({"reels": ("AWB", "AWS", "ABS")}, "the wild is on the first reel"),
            ({"rows": 2, "reels": ("AASS", "AWS", "ABS")}, "two scatters of one reel"),
            ({"lines": ()}, "has no lines"),
            ({"lines": ((0, 0),)}, "a row for each reel"),
            ({"lines": ((0, 1, 0),)}, "leaves the view"),
            ({"lines": ((0, 0, 0), (0, 0, 0))}, "two lines are the same"),
            ({"rows": 2, "lines": ((0, 0, 0), (1, 0, 0)), "stakes": (2, 5)}, "no multiple of the lines"),
            ({"line_pays": {"A": {4: 7}, "B": {3: 4}}}, "line_pays must be positive"),
            ({"line_pays": {"A": {3: 0.5}, "B": {3: 4}}}, "line_pays must be positive"),
            ({"scatter_pays": {3: 0}}, "scatter_pays must be positive"),
            ({"free_spins": FreeSpins(awards={3: -1}, maximum=2, multiplier=1)}, "awards must be positive"),
            ({"free_spins": FreeSpins(awards={3: 3}, maximum=2, multiplier=1)}, "exceeds the most"),
            ({"free_spins": FreeSpins(awards={3: 1}, maximum=2, multiplier=0)}, "multiplier"),
        ],
    )
    def test_refuses_a_definition_that_contradicts_itself(self, broken: dict[str, Any], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            replace(TINY, **broken)


@pytest.fixture(scope="module", params=[TINY, WIDE], ids=["tiny", "wide"])
def played(request: pytest.FixtureRequest) -> tuple[LineSlot, list[Step]]:
    slot: LineSlot = request.param
    return slot, list(everything(slot))


class TestSolve:
    def test_equals_playing_every_sequence_of_draws(self, played: tuple[LineSlot, list[Step]]) -> None:
        slot, steps = played
        exact, n = solve(slot), len(steps)
        wins = [step.win for step in steps]
        mean = Fraction(sum(wins), 2 * n)
        free = [len(step.outcome["spins"]) - 1 for step in steps]
        assert exact.rtp == mean
        assert exact.paid_spin_rtp == Fraction(sum(step.outcome["spins"][0]["win"] for step in steps), 2 * n)
        assert exact.variance == Fraction(sum(win * win for win in wins), 4 * n) - mean * mean
        assert exact.hit_rate == Fraction(sum(win > 0 for win in wins), n)
        assert exact.feature_rate == Fraction(sum(spins > 0 for spins in free), n)
        assert exact.free_spins == Fraction(sum(free), sum(spins > 0 for spins in free))
        assert exact.reachable == Fraction(max(wins), 2)
        assert exact.cap_binds is False

    def test_agrees_with_linearity(self, played: tuple[LineSlot, list[Step]]) -> None:
        assert solve(played[0]).rtp == line_slot_rtp(played[0])

    def test_counts_every_result_of_a_spin(self) -> None:
        assert sum(spin_counts(TINY).values()) == 4 * 3 * 3

    def test_says_when_the_cap_would_bind(self) -> None:
        reachable = solve(TINY).reachable
        assert reachable.denominator == 1
        assert solve(replace(TINY, max_win=int(reachable))).cap_binds is False
        assert solve(replace(TINY, max_win=int(reachable) - 1)).cap_binds is True

    def test_needs_no_free_spins(self) -> None:
        plain = replace(TINY, free_spins=FreeSpins(awards={}, maximum=0, multiplier=1))
        exact = solve(plain)
        assert exact.rtp == exact.paid_spin_rtp == line_slot_rtp(plain)
        assert exact.feature_rate == 0
        assert exact.free_spins == 0


class TestPercent:
    @pytest.mark.parametrize(
        ("share", "shown"),
        [
            (Fraction(1), "100.0000%"),
            (Fraction(2, 3), "66.6666%"),
            (Fraction(1, 10_000), "0.0100%"),
            (Fraction(0), "0.0000%"),
        ],
    )
    def test_rounds_down(self, share: Fraction, shown: str) -> None:
        assert percent(share) == shown
