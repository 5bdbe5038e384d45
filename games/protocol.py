"""The protocol that a game implements, and the few types that it uses. Start here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from contracts.choices import Abandonment, Choice, Chosen, Offer

__all__ = [
    "Abandonment",
    "Choice",
    "Chosen",
    "Draws",
    "Game",
    "InvalidChoice",
    "JsonObject",
    "Mode",
    "Offer",
    "StakeNotAllowed",
    "Step",
    "UnknownMode",
    "Wager",
    "WagerRefused",
]

# Objects of str, int, bool, None, list and dict with str keys. Nothing else survives JSON unchanged.
JsonObject = dict[str, Any]


class WagerRefused(ValueError):
    """The bet cannot be taken; nothing was drawn. The message is shown to the client, so it never repeats
    what the client sent. `code` is the problem code that api.md gives the case."""

    code: ClassVar[str] = "invalid"


class UnknownMode(WagerRefused):
    """The game has no such bet mode."""


class StakeNotAllowed(WagerRefused):
    """The stake is not on the ladder of the game and mode."""

    code = "stake-not-allowed"


class InvalidChoice(WagerRefused):
    """The choice made with the bet is missing, malformed or out of range."""

    code = "unknown-choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """A way to bet on a game. Its stakes are the steps of the game's ladder times `stake_multiplier`."""

    description: str
    stake_multiplier: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wager:
    """What a player bets. `stake` is all the money that is taken, in minor units of the round's currency."""

    stake: int
    mode: str = "base"
    choice: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A game's answer. `win` is what the round pays in all, in minor units, the stake not subtracted.

    `outcome` is for the client and the record: everything needed to show and to recheck the win.
    Without an `offer` the step is final. With one, the round waits for its player, `win` is what it would
    pay so far, and `state` is all that the game wants to see again with the choice. The state is never
    stored or shown, so it may hold what the player must not know yet: each later step is computed from the
    round's first one on.
    """

    outcome: JsonObject
    win: int
    offer: Offer | None = None
    state: JsonObject | None = None


class Draws(Protocol):
    """The round's own stream of random integers: the only chance a game may use."""

    def integer(self, bound: int) -> int:
        """The next unbiased integer in 0..bound-1, for a bound in 1..2**32."""


class Game(Protocol):
    """One version of a game: pure mathematics. No I/O, no clock, no chance but `draws`, no floats, and no
    memory from one call to the next. A round always finishes on the version it began on, so once a version
    has been played its behaviour never changes: another paytable is another version.
    """

    @property
    def id(self) -> str:
        """1-64 of `a-z 0-9 -`, a letter first. The same for all versions."""

    @property
    def version(self) -> str:
        """`MAJOR.MINOR.PATCH`. The greatest loaded version takes the new bets."""

    @property
    def title(self) -> str:
        """For people, up to 100 characters."""

    @property
    def modes(self) -> Mapping[str, Mode]:
        """Bet modes by name. "base" is always there, with a stake multiplier of 1."""

    @property
    def stakes(self) -> tuple[int, ...]:
        """The ladder: every stake allowed in the base mode, ascending, in minor units."""

    @property
    def max_win(self) -> int:
        """The most a round pays, in multiples of the step of the ladder that was bet on."""

    @property
    def choice_schema(self) -> JsonObject | None:
        """A JSON Schema of the choice made with the bet, or None when the game takes none."""

    @property
    def rules(self) -> JsonObject:
        """What a client needs to draw and explain the game: reels, lines, pays."""

    def validate(self, wager: Wager) -> None:
        """Raises InvalidChoice unless `wager.choice` can be played. Mode, ladder, and a choice given to a
        game that has no `choice_schema`, are checked before and need no code here."""

    def play(
        self, wager: Wager, draws: Draws, state: JsonObject | None = None, chosen: Chosen | None = None
    ) -> Step:
        """The round's next step, for a wager that passed `validate`.

        The first call of a round has neither `state` nor `chosen`. Later ones carry the previous step's state
        and what was chosen from its offer; `draws` goes on where the previous step left it.
        """
