"""Lucky Fruits: the reels of Fruit Lines, whose player picks the free spins, and then gambles or collects.

The rules:
- The paid spin is that of Fruit Lines. Three or more stars anywhere award free spins of the player's picking:
  18 that pay once, 9 that pay double, or 6 that pay triple. Each gives the same on average; the fewer, the
  wilder. Free spins award no more of them, and the best of them stay far below `max_win`.
- A win may be gambled on a color up to three times, one draw of two for each. `gamble` risks the win: it
  doubles or is lost. `raise` keeps it and costs as much again: the right color adds double the cost, the
  wrong one nothing. Both are fair, so they change no RTP. Neither is offered where it could lead beyond
  `max_win`.
- A player who stays away for a day is given the 18 free spins, and the win is collected.

Theoretical RTP: 96.40%, exactly 1220057311/1265625000: the paid spin's return, and 18 times as much in each
round with free spins. Tests hold it to the exact mathematics of the reels.

The outcome: {"spins": as Fruit Lines has them, "picked": the free spins, or null, "gambles": [{"action",
"color", "drawn", "win": the round's after it}], "total": win}.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, Final

from games.fruit_lines import GAME as FRUIT_LINES
from games.protocol import Choice, Chosen, Draws, InvalidChoice, JsonObject, Mode, Offer, Step, Wager
from games.slots import BASE_ONLY, FreeSpins, LineSlot

# The reels alone: their free spins are awarded here.
REELS: Final = replace(FRUIT_LINES, free_spins=FreeSpins(awards={}, maximum=0, multiplier=1))
FREE_SPINS: Final = MappingProxyType({18: 1, 9: 2, 6: 3})  # multiplier by number
STARS: Final = 3
COLORS: Final = ("red", "black")
GAMBLES: Final = 3
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class LuckyFruits:
    """Implements games.protocol.Game."""

    reels: LineSlot

    id: ClassVar[str] = "lucky-fruits"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[str] = "Lucky Fruits"
    modes: ClassVar[Mapping[str, Mode]] = BASE_ONLY
    choice_schema: ClassVar[JsonObject | None] = None
    max_win: ClassVar[int] = 10_000

    @property
    def stakes(self) -> tuple[int, ...]:
        return self.reels.stakes

    @property
    def rules(self) -> JsonObject:
        reels = {name: rule for name, rule in self.reels.rules.items() if name != "free_spins"}
        return reels | {
            "free_spins": {"stars": STARS, "multipliers": {str(n): by for n, by in FREE_SPINS.items()}},
            "gambles": {"maximum": GAMBLES, "colors": list(COLORS)},
        }

    def validate(self, wager: Wager) -> None:
        if wager.choice is not None:
            raise InvalidChoice(f"{self.id} takes no choice with the bet")

    def play(
        self, wager: Wager, draws: Draws, state: JsonObject | None = None, chosen: Chosen | None = None
    ) -> Step:
        if state is None or chosen is None:
            return self._paid_spin(wager, draws)
        outcome = state["outcome"]
        if chosen.action == "pick":
            return self._free_spins(wager, draws, outcome, int(chosen.params["spins"]))
        if chosen.action == "collect":
            return Step(outcome=outcome, win=outcome["total"])
        return self._gamble(wager, draws, outcome, chosen)

    def _paid_spin(self, wager: Wager, draws: Draws) -> Step:
        spin = self.reels.spin(draws, wager.stake, multiplier=1)
        outcome = {"spins": [spin], "picked": None, "gambles": [], "total": spin["win"]}
        stars = spin["scatters"]
        if stars is not None and stars["count"] >= STARS:
            pick = Choice(action="pick", params={"spins": list(FREE_SPINS)})
            return self._open(outcome, [pick], Chosen(action="pick", params={"spins": 18}))
        return self._after_spins(wager, outcome)

    def _free_spins(self, wager: Wager, draws: Draws, outcome: JsonObject, count: int) -> Step:
        won = [self.reels.spin(draws, wager.stake, multiplier=FREE_SPINS[count]) for _ in range(count)]
        spins = outcome["spins"] + won
        total = sum(spin["win"] for spin in spins)
        return self._after_spins(wager, outcome | {"spins": spins, "picked": count, "total": total})

    def _gamble(self, wager: Wager, draws: Draws, outcome: JsonObject, chosen: Chosen) -> Step:
        drawn, color, win = COLORS[draws.integer(2)], chosen.params["color"], outcome["total"]
        if chosen.action == "gamble":
            win = 2 * win if drawn == color else 0
        elif drawn == color:
            win = 3 * win
        gamble = {"action": chosen.action, "color": color, "drawn": drawn, "win": win}
        return self._after_spins(wager, outcome | {"gambles": [*outcome["gambles"], gamble], "total": win})

    def _after_spins(self, wager: Wager, outcome: JsonObject) -> Step:
        win, room = outcome["total"], self.max_win * wager.stake
        if win == 0 or 2 * win > room or len(outcome["gambles"]) == GAMBLES:
            return Step(outcome=outcome, win=win)
        colors: dict[str, list[str | int | bool]] = {"color": list(COLORS)}
        choices = [Choice(action="collect"), Choice(action="gamble", params=colors)]
        if 3 * win <= room:
            choices.append(Choice(action="raise", params=colors, debit=win))
        return self._open(outcome, choices, Chosen(action="collect"))

    @staticmethod
    def _open(outcome: JsonObject, choices: list[Choice], default: Chosen) -> Step:
        offer = Offer(choices=choices, default=default, decide_within_s=DAY_S)
        return Step(outcome=outcome, win=outcome["total"], offer=offer, state={"outcome": outcome})


GAME: Final = LuckyFruits(REELS)
