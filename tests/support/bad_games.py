"""Games that do not come with Croupier: one that does what its choice says, however wrong, and one that asks
its player."""

import os
import sys
import time
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, ClassVar, Final

from games.protocol import Choice, Chosen, Draws, InvalidChoice, JsonObject, Mode, Offer, Step, Wager

BOUND: Final = 1_000
SLEEP_S: Final = 3_600


class Puppet:
    """The choice is {"do": what, "check": what}: what it does when it plays, and when it is asked."""

    id = "puppet"
    version = "1.0.0"
    title = "Puppet"
    modes = MappingProxyType({"base": Mode(description="as you say")})
    stakes = (100, 200)
    max_win = 10
    choice_schema: ClassVar[JsonObject | None] = {"type": "object"}
    rules: ClassVar[JsonObject] = {}

    def validate(self, wager: Wager) -> None:
        assert wager.choice is not None
        if (checks := wager.choice.get("check")) == "refuse":
            raise InvalidChoice("puppet needs another\nchoice")
        if checks is not None:
            DEEDS[checks](None)

    def play(
        self, wager: Wager, draws: Draws, state: JsonObject | None = None, chosen: Chosen | None = None
    ) -> Step:
        assert wager.choice is not None
        deed = chosen.params["do"] if chosen else wager.choice.get("do", "win")
        step: Step = DEEDS[str(deed)](draws)
        return step


class Chooser(Puppet):
    """Offers its player to go on with a deed, once."""

    id = "chooser"
    title = "Chooser"
    choice_schema = None

    def validate(self, wager: Wager) -> None:
        pass

    def play(
        self, wager: Wager, draws: Draws, state: JsonObject | None = None, chosen: Chosen | None = None
    ) -> Step:
        if chosen is None:
            choice = Choice(action="go", params={"do": list(DEEDS)})
            offer = Offer(
                choices=[choice, Choice(action="stop")],
                default=Chosen(action="stop"),
                decide_within_s=86_400,
            )
            drawn = draws.integer(BOUND)
            return Step(outcome={"drawn": drawn}, win=100, offer=offer, state={"drawn": drawn})
        assert state is not None
        if chosen.action == "stop":
            return Step(outcome={"drawn": state["drawn"]}, win=100)
        step: Step = DEEDS[str(chosen.params["do"])](draws)
        return step


def shows(value: Any) -> Callable[[Any], Step]:
    return lambda _draws: Step(outcome={"shown": value}, win=0)


def win(draws: Draws) -> Step:
    return Step(outcome={"drawn": [draws.integer(BOUND) for _ in range(3)]}, win=200)


def draw(draws: Draws) -> Step:
    return Step(outcome={"drawn": [draws.integer(BOUND) for _ in range(9_000)][-3:]}, win=0)


def draw_forever(draws: Draws) -> Step:
    while True:
        draws.integer(BOUND)


def sleep(_: Any) -> Step:
    time.sleep(SLEEP_S)
    raise AssertionError("nobody waits that long")


def loop(_: Any) -> Step:
    while True:
        pass


def allocate(_: Any) -> Step:
    return Step(outcome={"shown": len(bytearray(1 << 40))}, win=0)


def leave(_: Any) -> Step:
    raise SystemExit(0)


def vanish(_: Any) -> Step:
    os._exit(7)


def tell(draws: Draws) -> Step:
    raise ValueError(f"the draws are {draws.integer(BOUND)}, \0 and \ud800")


def scribble(_: Any) -> Step:
    """Writes into whatever is open."""
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, b"\xff" * 8)
        except OSError:
            continue
    return Step(outcome={}, win=0)


def print_much(_: Any) -> Step:
    print("x" * 1_000_000)  # noqa: T201
    print("y" * 1_000_000, file=sys.stderr)  # noqa: T201
    return Step(outcome={}, win=0)


def look(draws: Draws) -> Step:
    seen = {
        "variables": sorted(os.environ),
        "files": len(os.listdir("/proc/self/fd")),
        "seed": hasattr(draws, "_seed"),
        "input": sys.stdin.read(),
    }
    return Step(outcome=seen, win=0)


def deep(_draws: Any) -> Step:
    nested: list[Any] = []
    for _ in range(10_000):
        nested = [nested]
    return Step(outcome={"shown": nested}, win=0)


DEEDS: Final[dict[str, Callable[[Any], Any]]] = {
    "win": win,
    "draw": draw,
    "draw-forever": draw_forever,
    "sleep": sleep,
    "loop": loop,
    "allocate": allocate,
    "leave": leave,
    "vanish": vanish,
    "tell": tell,
    "scribble": scribble,
    "print": print_much,
    "look": look,
    "nul": shows("\0"),
    "nul-key": shows({"\0": 1}),
    "surrogate": shows("\ud800"),
    "fraction": shows(0.5),
    "huge": shows("x" * 5_000_000),
    "deep": deep,
    "too-much": lambda _draws: Step(outcome={}, win=10**9),
    "no-step": lambda _draws: {"win": 0},
}
PUPPET: Final = Puppet()
CHOOSER: Final = Chooser()
