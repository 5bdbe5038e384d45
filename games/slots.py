"""The engine of line slots: a definition (reels, lines, pays) is a game. games/fruit_lines.py is one.

The rules it plays, all of them:
- One draw for each reel, left to right, picks the stop: the strip's symbol in the top row. Strips are rings.
- A line pays for the symbol on its first reel when that symbol, or the wild in its place, fills the first
  reels of the line without a gap; only the longest run pays. The wild stands for every symbol but the
  scatter, is never on the first reel, and so has no pays of its own.
- Scatters pay and award free spins by their number anywhere in view. Free spins are drawn at once, after the
  spin that awarded them and inside the same round, on the same reels; every win in them, scatters included,
  is multiplied. They can award more, but a round never has more than `free_spins.maximum` in all.
- The round's win is the sum of its spins, cut to `max_win` times the stake.

Amounts: line pays are in line stakes (stake // number of lines; every stake is a multiple, so nothing is
rounded), scatter pays in stakes. A "unit" below is one line stake.

The outcome: {"spins": [spin, ...], "total": win, "capped": bool}, where the first spin is the one paid for.
A spin: {"stops": one number a reel, "grid": one string a row from the top, "lines": [{"line": index into
rules.lines, "symbol", "count", "win"}], "scatters": {"count", "win", "free_spins": those awarded} or null,
"multiplier", "win"}. Every win is in minor units, multiplied already.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final

from games.protocol import Chosen, Draws, InvalidChoice, JsonObject, Mode, Step, Wager

BASE_ONLY: Final = MappingProxyType({"base": Mode(description="One paid spin on all lines")})

Column = str  # the symbols of one reel in view, from the top
LinePay = tuple[int, str, int, int]  # line index, symbol, count, units


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSpins:
    """The feature. `awards` gives free spins by number of scatters in view."""

    awards: Mapping[int, int]
    maximum: int  # in one round
    multiplier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSlot:
    """Implements games.protocol.Game. Symbols are single characters, and a reel's strip is a string of them.

    Raises ValueError for a definition that contradicts itself or the rules above.
    """

    id: str
    version: str
    title: str
    stakes: tuple[int, ...]
    max_win: int
    symbols: Mapping[str, str]  # name by symbol, for people
    reels: tuple[str, ...]
    rows: int
    lines: tuple[tuple[int, ...], ...]  # each gives a row (0 is the top) for each reel
    wild: str
    scatter: str
    line_pays: Mapping[str, Mapping[int, int]]  # symbol -> count -> line stakes
    scatter_pays: Mapping[int, int]  # count -> stakes
    free_spins: FreeSpins
    modes: ClassVar[Mapping[str, Mode]] = BASE_ONLY
    choice_schema: ClassVar[JsonObject | None] = None
    windows: tuple[tuple[Column, ...], ...] = field(init=False, repr=False, compare=False)  # [reel][stop]

    def __post_init__(self) -> None:
        windows = tuple(
            tuple((strip * 2 * self.rows)[stop : stop + self.rows] for stop in range(len(strip)))
            for strip in self.reels
        )
        object.__setattr__(self, "windows", windows)  # the one way to derive a field of a frozen class
        _check_definition(self)

    @property
    def rules(self) -> JsonObject:
        return {
            "symbols": dict(self.symbols),
            "wild": self.wild,
            "scatter": self.scatter,
            "rows": self.rows,
            "reels": list(self.reels),
            "lines": [list(line) for line in self.lines],
            "line_pays": {symbol: _text_keys(pays) for symbol, pays in self.line_pays.items()},
            "scatter_pays": _text_keys(self.scatter_pays),
            "free_spins": {
                "awards": _text_keys(self.free_spins.awards),
                "maximum": self.free_spins.maximum,
                "multiplier": self.free_spins.multiplier,
            },
        }

    def validate(self, wager: Wager) -> None:
        if wager.choice is not None:
            raise InvalidChoice(f"{self.id} takes no choice with the bet")

    def play(
        self, wager: Wager, draws: Draws, state: JsonObject | None = None, chosen: Chosen | None = None
    ) -> Step:
        assert wager.stake in self.stakes, "play is for wagers that were checked"
        assert state is None, "a line slot has one step"
        assert chosen is None, "a line slot has one step"
        feature, line_stake = self.free_spins, wager.stake // len(self.lines)
        spin, awarded = self._spin(draws, line_stake, 1, feature.maximum)
        spins, total = [spin], spin["win"]
        while len(spins) <= awarded:  # the paid spin is one of `spins`
            spin, more = self._spin(draws, line_stake, feature.multiplier, feature.maximum - awarded)
            awarded += more
            spins.append(spin)
            total += spin["win"]
        win = min(total, self.max_win * wager.stake)
        return Step(outcome={"spins": spins, "total": win, "capped": win < total}, win=win)

    def spin(self, draws: Draws, stake: int, *, multiplier: int) -> JsonObject:
        """One spin as the outcome shows it, for a game that awards its free spins itself."""
        return self._spin(draws, stake // len(self.lines), multiplier, 0)[0]

    def _spin(self, draws: Draws, line_stake: int, multiplier: int, room: int) -> tuple[JsonObject, int]:
        """One spin as the outcome shows it, and the free spins it awards: at most `room`."""
        stops = [draws.integer(len(strip)) for strip in self.reels]
        columns = [windows[stop] for windows, stop in zip(self.windows, stops, strict=True)]
        unit = line_stake * multiplier
        lines: list[JsonObject] = [
            {"line": line, "symbol": symbol, "count": count, "win": units * unit}
            for line, symbol, count, units in self.line_wins(columns)
        ]
        win, awarded, scatters = sum(line["win"] for line in lines), 0, None
        count = sum(column.count(self.scatter) for column in columns)
        if count in self.scatter_pays or count in self.free_spins.awards:
            awarded = min(self.free_spins.awards.get(count, 0), room)
            paid = self.scatter_pays.get(count, 0) * len(self.lines) * unit
            scatters = {"count": count, "win": paid, "free_spins": awarded}
            win += paid
        grid = ["".join(row) for row in zip(*columns, strict=True)]
        spin = {
            "stops": stops,
            "grid": grid,
            "lines": lines,
            "scatters": scatters,
            "multiplier": multiplier,
            "win": win,
        }
        return spin, awarded

    def line_wins(self, columns: Sequence[Column]) -> list[LinePay]:
        """The lines that pay on what is in view, in order, without any multiplier."""
        wins, wild = [], self.wild
        for index, line in enumerate(self.lines):
            symbol = columns[0][line[0]]
            pays = self.line_pays.get(symbol)
            if pays is None:  # the scatter
                continue
            count = 1
            while count < len(line) and columns[count][line[count]] in (symbol, wild):
                count += 1
            if count in pays:
                wins.append((index, symbol, count, pays[count]))
        return wins


def _text_keys(pays: Mapping[int, int]) -> JsonObject:
    return {str(count): pay for count, pay in pays.items()}


def _check_definition(slot: LineSlot) -> None:
    for claims in (_reel_claims, _line_claims, _pay_claims):
        for holds, otherwise in claims(slot):
            if not holds:
                raise ValueError(f"{slot.id} {slot.version}: {otherwise}")


# Each claim may rely on those before it: they are asked one by one, up to the first that does not hold.
Claims = Iterator[tuple[bool, str]]


def _reel_claims(slot: LineSlot) -> Claims:
    known, special = set(slot.symbols), {slot.wild, slot.scatter}
    yield slot.rows > 0 and len(slot.reels) > 0, "it has no rows or no reels"
    yield all(len(strip) >= slot.rows for strip in slot.reels), "a strip is shorter than the rows in view"
    yield all(len(symbol) == 1 for symbol in known), "a symbol is more than one character"
    yield known >= set("".join(slot.reels)) | special, "a symbol on the reels has no name"
    yield slot.wild != slot.scatter, "the wild and the scatter are one symbol"
    yield slot.wild not in slot.reels[0], "the wild is on the first reel"
    yield _scatters_are_apart(slot), "two scatters of one reel come into view together"


def _line_claims(slot: LineSlot) -> Claims:
    yield len(slot.lines) > 0, "it has no lines"
    yield all(len(line) == len(slot.reels) for line in slot.lines), "a line needs a row for each reel"
    yield all(row in range(slot.rows) for line in slot.lines for row in line), "a line leaves the view"
    yield len(set(slot.lines)) == len(slot.lines), "two lines are the same"
    yield all(stake % len(slot.lines) == 0 for stake in slot.stakes), "a stake is no multiple of the lines"


def _pay_claims(slot: LineSlot) -> Claims:
    feature, counts = slot.free_spins, range(1, len(slot.reels) + 1)
    paying = set(slot.symbols) - {slot.wild, slot.scatter}
    yield set(slot.line_pays) == paying, "line_pays must have every symbol but the wild and the scatter"
    yield (
        all(_counted(pays, counts) for pays in slot.line_pays.values()),
        "line_pays must be positive, by count",
    )
    yield _counted(slot.scatter_pays, counts), "scatter_pays must be positive, by count"
    yield _counted(feature.awards, counts), "awards must be positive, by count"
    yield feature.maximum >= max(feature.awards.values(), default=0), "one award exceeds the most free spins"
    yield feature.multiplier > 0, "the multiplier of free spins is not positive"


def _scatters_are_apart(slot: LineSlot) -> bool:
    """Then their number in view is at most the number of reels, which is the pay tables' last entry."""
    return all(column.count(slot.scatter) <= 1 for windows in slot.windows for column in windows)


def _counted(pays: Mapping[int, int], counts: range) -> bool:
    return all(count in counts and type(pay) is int and pay > 0 for count, pay in pays.items())
