"""Dice: a roll of 0..9999 against a target that the player picks, with an edge of one per cent.

The bet's choice is `{"direction": "over" | "under", "target": int}`. Over wins when the roll is greater than
the target, under when it is less; so over wins on `9999 - target` of the 10,000 rolls, under on `target`.
With `count` winning rolls a win pays floor(stake * 9900 / count). `count` lies in 10..9800: a win pays from
1.01 to 990 times the stake, the stake included. 990 is the maximum, and it is reached (count = 10).

Theoretical RTP: 98.02% to 99%. It is 99% before the payout is rounded down to a whole minor unit, which costs
less than one unit a win, so the smallest stake, 100, has the lower end. `games.maths.dice_rtp` has the
exact value of every bet, and a test checks the range over all of them.
"""

from types import MappingProxyType
from typing import Final

from games.protocol import Chosen, Draws, InvalidChoice, JsonObject, Mode, Step, Wager

ROLLS: Final = 10_000
RETURNED: Final = 9_900  # of every 10,000 staked, before rounding
COUNT_MIN: Final = 10
COUNT_MAX: Final = 9_800
TARGETS: Final = MappingProxyType(  # the lowest and the highest of each direction
    {"over": (ROLLS - 1 - COUNT_MAX, ROLLS - 1 - COUNT_MIN), "under": (COUNT_MIN, COUNT_MAX)}
)


def payout(stake: int, count: int) -> int:
    """What a win pays, in minor units, when `count` of the 10,000 rolls win."""
    return stake * RETURNED // count


class Dice:
    """Implements games.protocol.Game. A choice is required: there is no default bet."""

    id = "dice"
    version = "1.0.0"
    title = "Dice"
    modes = MappingProxyType({"base": Mode(description="Roll over or under your target")})
    stakes = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
    max_win = RETURNED // COUNT_MIN

    @property
    def choice_schema(self) -> JsonObject:
        """One schema for each direction, because each has its own range of targets."""
        return {"oneOf": [_schema(direction, *targets) for direction, targets in TARGETS.items()]}

    @property
    def rules(self) -> JsonObject:
        return {
            "rolls": ROLLS,
            "returned": RETURNED,
            "winning_rolls": {"over": "9999 - target", "under": "target"},
            "pays": "floor(stake * returned / winning rolls)",
        }

    def validate(self, wager: Wager) -> None:
        winning_rolls(wager.choice)

    def play(
        self, wager: Wager, draws: Draws, state: JsonObject | None = None, chosen: Chosen | None = None
    ) -> Step:
        count = winning_rolls(wager.choice)
        assert wager.stake in self.stakes, "play is for wagers that were checked"
        assert wager.choice is not None, "play is for wagers that were checked"
        assert state is None, "dice has one step"
        assert chosen is None, "dice has one step"
        direction, target = wager.choice["direction"], wager.choice["target"]
        roll = draws.integer(ROLLS)
        won = roll > target if direction == "over" else roll < target
        win = payout(wager.stake, count) if won else 0
        outcome = {"roll": roll, "direction": direction, "target": target, "won": won, "win": win}
        return Step(outcome=outcome, win=win)


def winning_rolls(choice: JsonObject | None) -> int:
    """How many of the 10,000 rolls win, 10..9800. Raises InvalidChoice when that is no bet on dice."""
    if type(choice) is not dict or choice.keys() != {"direction", "target"}:
        raise InvalidChoice('dice needs the choice {"direction": "over" or "under", "target": an integer}')
    direction, target = choice["direction"], choice["target"]
    if type(direction) is not str or direction not in TARGETS:
        raise InvalidChoice('direction must be "over" or "under"')
    if type(target) is not int:  # type(): True is an int to isinstance
        raise InvalidChoice("target must be an integer")
    count = ROLLS - 1 - target if direction == "over" else target
    if not COUNT_MIN <= count <= COUNT_MAX:
        low, high = TARGETS[direction]
        raise InvalidChoice(f"the target of {direction} must be in {low}..{high}")
    return count


def _schema(direction: str, low: int, high: int) -> JsonObject:
    return {
        "type": "object",
        "properties": {
            "direction": {"const": direction},
            "target": {"type": "integer", "minimum": low, "maximum": high},
        },
        "required": ["direction", "target"],
        "additionalProperties": False,
    }


GAME: Final = Dice()
