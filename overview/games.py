"""Games as an operator has them: what was staked and won, and whether that lies where the mathematics of the
game would have it.

A game returns its theoretical share on average. After n rounds the actual share strays from that by chance,
and with probability 99.7% by no more than three standard deviations of the mean of n rounds: the band. What a
single round strays by depends on how it was bet, so expectation and variance are those of the newest rounds,
bet by bet. The band of all rounds takes them to have been bet as those were.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import sqrt
from typing import Final

from games.registry import Registry, UnknownGame
from overview.returns import Return, return_of
from storage.game_figures import Played

DEVIATIONS: Final = 3
# Where an actual return lies.
WITHIN: Final = "within its band"
BELOW: Final = "below its band"
ABOVE: Final = "above its band"


@dataclass(frozen=True, slots=True)
class Expected:
    """What bets like these return of a stake of 1: on average, and how far one of them strays, as a standard
    deviation in mean stakes. `by_maths` is false where players' later choices decide that, so that it was
    measured on the rounds themselves; `at_most` is that of overview.returns."""

    mean: Fraction
    deviation: float
    by_maths: bool
    at_most: bool

    def band(self, rounds: int) -> "Band":
        """Where the actual return of so many rounds lies, but for three times in a thousand."""
        half = DEVIATIONS * self.deviation / sqrt(rounds)
        return Band(max(float(self.mean) - half, 0.0), float(self.mean) + half)


@dataclass(frozen=True, slots=True)
class Band:
    """Shares of what was staked, from `low` to `high`."""

    low: float
    high: float

    def verdict(self, staked: int, won: int) -> str:
        """WITHIN, BELOW or ABOVE, of an actual return."""
        actual = won / staked
        if actual < self.low:
            return BELOW
        return ABOVE if actual > self.high else WITHIN


@cache
def known_games() -> Registry:
    """Those whose mathematics are here: the games that come with Croupier, in every version."""
    return Registry.load()


def expected(played: Sequence[Played]) -> Expected | None:
    """Of bets of one game and currency; None when there are none, or the mathematics of one are not known.
    May take some tenths of a second for a slot that was not solved before."""
    returns = [_return(one) for one in played]
    known = [found for found in returns if found is not None]
    rounds, staked = sum(one.rounds for one in played), sum(one.staked for one in played)
    if not staked or len(known) < len(played):
        return None
    pairs = list(zip(played, known, strict=True))
    # What an action costs is a bet that is fair: where it were not, its game would have no mean here.
    won = sum((found.mean * one.stake * one.rounds + one.extra for one, found in pairs), Fraction(0))
    by_maths = all(found.variance is not None and not one.extra for one, found in pairs)
    squares = sum((_squares(one, found, by_maths=by_maths) for one, found in pairs), Fraction(0))
    # Of a mean of n rounds: the mean variance of one round over n, in units of the mean stake.
    variance = squares * rounds / Fraction(staked) ** 2
    return Expected(
        mean=won / staked,
        deviation=sqrt(variance),
        by_maths=by_maths,
        at_most=any(found.at_most for found in known),
    )


def _return(one: Played) -> Return | None:
    try:
        return return_of(known_games().get(one.game_id, one.game_version), one.stake, one.choice)
    except UnknownGame:
        return None


def _squares(one: Played, found: Return, *, by_maths: bool) -> Fraction:
    """The sum of the squares by which these rounds stray from their mean: as expected, or as they did."""
    if by_maths and found.variance is not None:
        return found.variance * one.stake**2 * one.rounds
    mean = found.mean
    return one.won_squared - 2 * mean * one.staked_by_won + mean**2 * one.staked_squared
