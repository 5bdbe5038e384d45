"""Exact mathematics of the games: every figure is a Fraction of whole numbers, none is sampled or rounded.

How a line slot is solved. A spin has prod(len(strip)) equally likely results: tens of millions, too many to
play one by one. `spin_counts` adds one reel at a time and merges the partial results that have the same
future: the same lines still running with the same symbols, the same win and scatters so far. What remains is
the exact joint distribution of a spin's win and scatters, within a second.

A round is a paid spin and its free spins. Whether another one is played depends only on the numbers played
and awarded so far, and its own result on neither. So what a state is still worth follows from what its
successors are worth (`_Feature`), backwards from the end, retriggers and their limit included.

`line_slot_rtp` computes the return a second way, by linearity and from symbol counts alone, without
a grid. The two share no step, and a test holds them equal.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import prod

from games.dice import ROLLS, payout
from games.slots import Column, LineSlot

SpinCounts = dict[tuple[int, int], int]  # (win in units, scatters in view) -> results
_Alive = tuple[str, ...]  # by line: the symbol it runs with, or "" once it has ended
_Partial = tuple[_Alive, int, int]  # lines, win so far in units, scatters so far


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotMaths:
    """A round's exact figures for a stake of 1, before `max_win` cuts it (see `cap_binds`)."""

    rtp: Fraction
    paid_spin_rtp: Fraction  # the part of rtp that is won without free spins
    variance: Fraction
    hit_rate: Fraction  # rounds that win anything
    feature_rate: Fraction  # rounds with free spins
    free_spins: Fraction  # the mean number in a round that has any
    reachable: Fraction  # the largest win that some sequence of draws gives
    cap_binds: bool  # whether max_win is below it, so that the true rtp is a little less than rtp


def solve(slot: LineSlot) -> SlotMaths:
    """All exact figures of a line slot. Takes well under a second for five reels of thirty."""
    counts = spin_counts(slot)
    results = prod(map(len, slot.reels))
    feature = _Feature(slot, counts)
    lines = len(slot.lines)
    mean, square = feature.moments_of(1, 0, 0)
    paid_mean = Fraction(sum(win * n for (win, _), n in counts.items()), results)
    triggers = Fraction(sum(n for (_, k), n in counts.items() if slot.free_spins.awards.get(k)), results)
    # A round that wins nothing: its paid spin wins nothing, and no free spin follows or none of them wins.
    blank = feature.blank_of(0, 0)
    reachable = Fraction(feature.largest_of(1, 0, 0), lines)
    return SlotMaths(
        rtp=Fraction(mean, lines),
        paid_spin_rtp=Fraction(paid_mean, lines),
        variance=Fraction(square - mean * mean, lines * lines),
        hit_rate=1 - blank,
        feature_rate=triggers,
        free_spins=Fraction(feature.length_of(0, 0) - 1, triggers) if triggers else Fraction(0),
        reachable=reachable,
        cap_binds=slot.max_win < reachable,
    )


def line_slot_rtp(slot: LineSlot) -> Fraction:
    """The return by linearity: the expectations of lines add up, and each cell is uniform on its strip."""
    lines = sum((_line_mean(slot, symbol) for symbol in slot.line_pays), Fraction(0))
    scatters = _scatter_chances(slot)
    scatter = sum((chance * slot.scatter_pays.get(k, 0) for k, chance in enumerate(scatters)), Fraction(0))
    # All lines have the same mean, and each stakes its share: together they return what one line does.
    return (lines + scatter) * (1 + slot.free_spins.multiplier * _mean_free_spins(slot, scatters))


def dice_rtp(stake: int, count: int) -> Fraction:
    """The return of a dice bet on `count` winning rolls, the rounding of its payout included."""
    return Fraction(count * payout(stake, count), ROLLS * stake)


def percent(share: Fraction, places: int = 4) -> str:
    """`share` as a percentage rounded down to `places` decimals, without ever leaving the integers."""
    scaled = share.numerator * 100 * 10**places // share.denominator
    whole, part = divmod(scaled, 10**places)
    return f"{whole}.{part:0{places}d}%"


def spin_counts(slot: LineSlot) -> SpinCounts:
    """How many of a spin's equally likely results give each (win in units, scatters), multiplier apart."""
    partial: Counter[_Partial] = Counter()
    for column, n in Counter(slot.windows[0]).items():
        alive = tuple(s if (s := column[line[0]]) in slot.line_pays else "" for line in slot.lines)
        partial[alive, 0, column.count(slot.scatter)] += n
    for reel in range(1, len(slot.reels)):
        partial = _add_reel(slot, partial, reel)
    counts: Counter[tuple[int, int]] = Counter()
    full = len(slot.reels)
    for (alive, win, scatters), n in partial.items():
        ended = sum(slot.line_pays[symbol].get(full, 0) for symbol in alive if symbol)
        scattered = slot.scatter_pays.get(scatters, 0) * len(slot.lines)
        counts[win + ended + scattered, scatters] += n
    return dict(counts)


def _add_reel(slot: LineSlot, partial: Counter[_Partial], reel: int) -> Counter[_Partial]:
    extended: Counter[_Partial] = Counter()
    columns = Counter(slot.windows[reel]).items()
    for (alive, win, scatters), n in partial.items():
        running = [(index, symbol) for index, symbol in enumerate(alive) if symbol]
        for column, m in columns:
            after, ended = _extend(slot, running, column, reel)
            extended[after, win + ended, scatters + column.count(slot.scatter)] += n * m
    return extended


def _extend(slot: LineSlot, running: list[tuple[int, str]], column: Column, reel: int) -> tuple[_Alive, int]:
    """The lines still running once `column` is in view, and what those it ends have won, in units."""
    alive, ended = [""] * len(slot.lines), 0
    for index, symbol in running:
        if column[slot.lines[index][reel]] in (symbol, slot.wild):
            alive[index] = symbol
        else:
            ended += slot.line_pays[symbol].get(reel, 0)
    return tuple(alive), ended


class _Feature:
    """What a round is worth from the moment that `played` of `awarded` free spins are over.

    `x_of(multiplier, played, awarded)` looks at one spin about to be played and everything after it.
    """

    def __init__(self, slot: LineSlot, counts: SpinCounts) -> None:
        self._awards, self._maximum = slot.free_spins.awards, slot.free_spins.maximum
        self._multiplier = slot.free_spins.multiplier
        self._results = sum(counts.values())
        self._by_scatters: dict[int, list[tuple[int, int]]] = {}
        for (win, scatters), n in counts.items():
            self._by_scatters.setdefault(scatters, []).append((win, n))
        self._rest = cache(self._moments_after)
        self._blank_rest = cache(self._blank_after)
        self._largest_rest = cache(self._largest_after)
        self._length_rest = cache(self._length_after)

    def moments_of(self, multiplier: int, played: int, awarded: int) -> tuple[Fraction, Fraction]:
        """Mean and mean square of the win, in units: E[w^2] + 2 E[w] E[R] + E[R^2], by scatters."""
        first = second = Fraction(0)
        for wins, total in self._successors(awarded):
            rest, rest_square = self._rest(played, total)
            n = sum(m for _, m in wins)
            s1 = multiplier * sum(w * m for w, m in wins)
            s2 = multiplier * multiplier * sum(w * w * m for w, m in wins)
            first += s1 + n * rest
            second += s2 + 2 * s1 * rest + n * rest_square
        return Fraction(first, self._results), Fraction(second, self._results)

    def blank_of(self, played: int, awarded: int) -> Fraction:
        """The chance that nothing is won."""
        blank = Fraction(0)
        for wins, total in self._successors(awarded):
            blank += sum(n for win, n in wins if win == 0) * self._blank_rest(played, total)
        return Fraction(blank, self._results)

    def largest_of(self, multiplier: int, played: int, awarded: int) -> int:
        """The largest win that can happen, in units."""
        return max(
            multiplier * max(win for win, _ in wins) + self._largest_rest(played, total)
            for wins, total in self._successors(awarded)
        )

    def length_of(self, played: int, awarded: int) -> Fraction:
        """The mean number of spins."""
        after = Fraction(0)
        for wins, total in self._successors(awarded):
            after += sum(n for _, n in wins) * self._length_rest(played, total)
        return 1 + Fraction(after, self._results)

    def _successors(self, awarded: int) -> Iterator[tuple[list[tuple[int, int]], int]]:
        """By number of scatters: the (win, results) of a spin, and the free spins awarded once it is over."""
        for scatters, wins in self._by_scatters.items():
            yield wins, min(self._maximum, awarded + self._awards.get(scatters, 0))

    def _moments_after(self, played: int, awarded: int) -> tuple[Fraction, Fraction]:
        if played == awarded:
            return Fraction(0), Fraction(0)
        return self.moments_of(self._multiplier, played + 1, awarded)

    def _blank_after(self, played: int, awarded: int) -> Fraction:
        return Fraction(1) if played == awarded else self.blank_of(played + 1, awarded)

    def _largest_after(self, played: int, awarded: int) -> int:
        return 0 if played == awarded else self.largest_of(self._multiplier, played + 1, awarded)

    def _length_after(self, played: int, awarded: int) -> Fraction:
        return Fraction(0) if played == awarded else self.length_of(played + 1, awarded)


def _line_mean(slot: LineSlot, symbol: str) -> Fraction:
    """What one line returns through `symbol`, in line stakes: runs of exactly `count` that pay."""
    here = [Fraction(strip.count(symbol) + strip.count(slot.wild), len(strip)) for strip in slot.reels]
    here.append(Fraction(0))  # no reel comes after the last one, so its run ends there
    mean = Fraction(0)
    for count, pay in slot.line_pays[symbol].items():
        mean += pay * prod(here[:count], start=Fraction(1)) * (1 - here[count])
    return mean


def _scatter_chances(slot: LineSlot) -> list[Fraction]:
    """The chance of 0, 1, 2, ... scatters in view. A scatter on a strip is in view at `rows` of its stops."""
    chances = [Fraction(1)]
    for strip in slot.reels:
        shown = Fraction(strip.count(slot.scatter) * slot.rows, len(strip))
        padded = [Fraction(0), *chances, Fraction(0)]
        chances = [padded[k + 1] * (1 - shown) + padded[k] * shown for k in range(len(chances) + 1)]
    return chances


def _mean_free_spins(slot: LineSlot, scatters: list[Fraction]) -> Fraction:
    """Free spins of a round: followed forwards, as the chances of those awarded after each spin played."""
    feature, mean = slot.free_spins, Fraction(0)
    awarded = {0: Fraction(1)}
    for played in range(feature.maximum + 1):
        going = {a: chance for a, chance in awarded.items() if a >= played}
        if played:
            mean += sum(going.values(), Fraction(0))
        awarded = {}
        for a, chance in going.items():
            for k, share in enumerate(scatters):
                total = min(feature.maximum, a + feature.awards.get(k, 0))
                awarded[total] = awarded.get(total, Fraction(0)) + chance * share
    return mean
