"""What a bet returns in theory, by the mathematics of its game: for whoever compares it with what was
paid."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from games.dice import ROLLS, Dice, payout, winning_rolls
from games.lucky_fruits import FREE_SPINS, STARS, LuckyFruits
from games.maths import solve, spin_counts
from games.protocol import Game, InvalidChoice, JsonObject
from games.slots import LineSlot


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """Of a stake of 1. `variance` is None where it depends on what players choose later in the round, of
    which the mean is independent. `at_most`: the mean counts wins that `max_win` cuts."""

    mean: Fraction
    variance: Fraction | None
    at_most: bool = False


# By id and version, which never change their behaviour. A slot takes some tenths of a second to solve.
_SOLVED: Final[dict[tuple[str, str], Return]] = {}


def return_of(game: Game, stake: int, choice: JsonObject | None) -> Return | None:
    """`stake` in minor units. None for a game whose mathematics are not here, and for what is no bet on
    it."""
    if isinstance(game, Dice):
        return _dice(stake, choice)
    if not isinstance(game, LineSlot | LuckyFruits):
        return None
    name = game.id, game.version
    if name not in _SOLVED:
        _SOLVED[name] = _line_slot(game) if isinstance(game, LineSlot) else _lucky_fruits(game)
    return _SOLVED[name]


def _dice(stake: int, choice: JsonObject | None) -> Return | None:
    try:
        count = winning_rolls(choice)
    except InvalidChoice:
        return None
    chance, pays = Fraction(count, ROLLS), Fraction(payout(stake, count), stake)
    return Return(mean=chance * pays, variance=pays * pays * chance * (1 - chance))


def _line_slot(game: LineSlot) -> Return:
    solved = solve(game)
    return Return(mean=solved.rtp, variance=solved.variance, at_most=solved.cap_binds)


def _lucky_fruits(game: LuckyFruits) -> Return:
    """Whichever free spins are picked return the same, and gambles are fair; both change the variance."""
    counts, (spins,) = spin_counts(game.reels), {number * by for number, by in FREE_SPINS.items()}
    stars = sum(n for (_, scatters), n in counts.items() if scatters >= STARS)
    in_stars = Fraction(stars, sum(counts.values()))
    return Return(mean=solve(game.reels).paid_spin_rtp * (1 + spins * in_stars), variance=None)
