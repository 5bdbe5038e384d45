"""The rules around every game: which wagers are taken, which steps believed, which plug-ins loaded."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeVar

from contracts.failures import one_line
from games.protocol import (
    Abandonment,
    Choice,
    Chosen,
    Draws,
    Game,
    InvalidChoice,
    Mode,
    Offer,
    StakeNotAllowed,
    Step,
    UnknownMode,
    Wager,
)

# The largest integer that every JSON client reads exactly (RFC 8259, section 6). No game can pay more.
MONEY_LIMIT: Final = 2**53 - 1
TITLE_LIMIT: Final = 100
CHOICES_LIMIT: Final = 20  # of an offer
VALUES_LIMIT: Final = 200  # of a parameter
DECIDE_LIMIT_S: Final = 30 * 86_400
# Of an outcome and of a state, in characters of JSON: a round's row and each answer carry the outcome.
SIZE_LIMIT: Final = 131_072
RULES_LIMIT: Final = 1_000_000  # of what a game declares, in the same characters
DEPTH_LIMIT: Final = 64  # of objects and arrays in each other, as the strictest parsers of clients take it
TEXT_LIMIT: Final = 200  # of a parameter's value, in characters
_ID: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")  # no dots: an id is one word of a routing key
_VERSION: Final = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})", re.ASCII)
_NO_JSON: Final = f"no plain JSON of up to {SIZE_LIMIT:,} characters"
_PROPERTIES: Final = ("id", "version", "title", "modes", "stakes", "max_win", "choice_schema", "rules")

T = TypeVar("T")


class GameError(RuntimeError):
    """A game broke its own contract: its step must not become money. No retry helps."""


class ActionRefused(ValueError):
    """The round does not offer the action that it is to go on with."""


class DeclarationError(ValueError):
    """A plug-in does not declare what the protocol asks for."""


def ladder(game: Game, mode: str) -> tuple[int, ...]:
    """The stakes allowed in `mode`, ascending, in minor units. Raises UnknownMode."""
    if not isinstance(mode, str) or mode not in game.modes:
        raise UnknownMode(f"{game.id} has no such mode; it offers: {', '.join(game.modes)}")
    multiplier = game.modes[mode].stake_multiplier
    return tuple(step * multiplier for step in game.stakes)


def check_wager(game: Game, wager: Wager) -> None:
    """Raises UnknownMode, StakeNotAllowed or InvalidChoice, all WagerRefused, unless the game takes it, and
    whatever the game raises when it is asked."""
    check_terms(game, wager)
    _asked(game, game.validate, wager)


def check_terms(game: Game, wager: Wager) -> None:
    """The part of `check_wager` that what the game declares decides, without asking it."""
    allowed = ladder(game, wager.mode)
    if type(wager.stake) is not int or wager.stake not in allowed:  # type(): True is an int to isinstance
        raise StakeNotAllowed(f"{game.id} takes these stakes in minor units: {', '.join(map(str, allowed))}")
    if game.choice_schema is None and wager.choice is not None:
        raise InvalidChoice(f"{game.id} takes no choice with the bet")
    if game.choice_schema is not None and wager.choice is None:
        raise InvalidChoice(f"{game.id} needs a choice with the bet")
    if wager.choice is not None and type(wager.choice) is not dict:
        raise InvalidChoice("a choice is a JSON object")


def win_limit(game: Game, wager: Wager) -> int:
    """The most that a checked wager can pay, in minor units."""
    return wager.stake // game.modes[wager.mode].stake_multiplier * game.max_win


def play_round(game: Game, wager: Wager, draws: Draws, actions: Sequence[Chosen] = ()) -> Step:
    """The game's step after `actions`, each step up to it checked on both sides: what money may be made from.

    Raises WagerRefused for a wager that should not have come this far, ActionRefused for an action that was
    not offered, GameError for a step that is not of the promised shape or pays outside 0..win_limit, and
    whatever the game raises.
    """
    check_wager(game, wager)
    step = check_step(game, wager, _asked(game, game.play, wager, draws))
    for chosen in actions:
        if step.offer is None or step.offer.find(chosen) is None:
            raise ActionRefused("the round does not offer this action")
        step = check_step(game, wager, _asked(game, game.play, wager, draws, step.state, chosen))
    return step


def failure(game: Game, error: Exception) -> str:
    """What went wrong in a game, in one bounded line that names it. A GameError speaks for itself; of what
    the game raised only type and place are told, for its text is the game's, and may repeat draws."""
    if isinstance(error, GameError):
        return one_line(str(error))
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return one_line(f"{game.id} {game.version} raised {type(error).__name__}{place}")


def _asked(game: Game, call: Callable[..., T], *arguments: Any) -> T:
    try:
        return call(*arguments)
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit and its like would end more than the round
        raise GameError(f"{game.id} {game.version} answered with {type(error).__name__}") from None


def check_step(game: Game, wager: Wager, step: Step) -> Step:
    """The same step. Raises GameError for one that must not become money."""
    name = f"{game.id} {game.version}"
    if type(step) is not Step:
        raise GameError(f"{name} answered a {type(step).__name__}, not a Step")
    if type(step.win) is not int or not 0 <= step.win <= win_limit(game, wager):
        raise GameError(f"{name} pays outside 0..{win_limit(game, wager)}")
    if type(step.outcome) is not dict or not is_json(step.outcome):
        raise GameError(f"{name} shows an outcome that is {_NO_JSON}")
    if step.state is not None and not (type(step.state) is dict and is_json(step.state)):
        raise GameError(f"{name} keeps a state that is {_NO_JSON}")
    if step.offer is not None and (problem := _offer_problem(step.offer)):
        raise GameError(f"{name} makes an offer in which {problem}")
    return step


def _offer_problem(offer: Offer) -> str | None:
    """What is wrong with it, in words."""
    if type(offer) is not Offer or not 0 < len(offer.choices) <= CHOICES_LIMIT:
        return f"there is not one choice, or more than {CHOICES_LIMIT}"
    if any((problem := _choice_problem(choice)) for choice in offer.choices):
        return problem
    if len({choice.action for choice in offer.choices}) != len(offer.choices):
        return "two choices have one name"
    default = offer.find(offer.default)
    if default is None or default.debit:
        return "the default is not offered, or costs something"
    if type(offer.decide_within_s) is not int or not 0 < offer.decide_within_s <= DECIDE_LIMIT_S:
        return f"the time to decide is not in 1..{DECIDE_LIMIT_S} s"
    return None if type(offer.abandonment) is Abandonment else "the abandonment is none"


def _choice_problem(choice: Choice) -> str | None:
    if type(choice) is not Choice or type(choice.action) is not str or not _ID.fullmatch(choice.action):
        return "an action's name is not 1-64 of a-z 0-9 -, a letter first"
    if type(choice.debit) is not int or not 0 <= choice.debit <= MONEY_LIMIT:
        return "an action costs less than nothing, or too much"
    for name, values in choice.params.items():
        if not _ID.fullmatch(name) or not 0 < len(values) <= VALUES_LIMIT:
            return f"a parameter has a bad name, no value, or more than {VALUES_LIMIT}"
        if not all(type(value) in (str, int, bool) and is_json(value, TEXT_LIMIT) for value in values):
            return "a parameter's value is no short text, integer or truth value"
    return None


def is_json(value: Any, size: int = SIZE_LIMIT) -> bool:
    """Whether JSON carries `value` there and back unchanged, in about `size` characters, to every client and
    into PostgreSQL: no fractions, no tuples, no keys but text, no integer that some client would round, no
    NUL and no half of a surrogate pair, and no deeper than DEPTH_LIMIT."""
    return _left(value, size, DEPTH_LIMIT) >= 0


def _left(value: Any, left: int, depth: int) -> int:
    """What `value` leaves of `left` characters; negative when it is too large, or no JSON."""
    kind = type(value)
    if kind is str:
        return left - len(value) - 2 if _is_text(value) else -1
    if kind is int:
        return left - len(repr(value)) if -MONEY_LIMIT <= value <= MONEY_LIMIT else -1
    if kind is list:
        return _left_by_all(value, left - 2, depth - 1)
    if kind is dict:
        left = _left_by_all(value, left - 2, depth - 1) if {*map(type, value)} <= {str} else -1
        return _left_by_all(value.values(), left, depth - 1)
    return left - 5 if value is None or kind is bool else -1


def _left_by_all(values: Iterable[Any], left: int, depth: int) -> int:
    if depth < 0:
        return -1
    for value in values:
        if left < 0:
            return -1
        left = _left(value, left - 1, depth)
    return left


def _is_text(value: str) -> bool:
    if "\0" in value:
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def version_order(version: str) -> tuple[int, ...]:
    """Sorts versions as numbers: 1.10.0 is greater than 1.9.0."""
    return tuple(map(int, version.split(".")))


def check_declaration(plugin: object) -> None:
    """Raises DeclarationError, naming what is wrong, unless `plugin` is a Game whose numbers make sense."""
    missing = [name for name in (*_PROPERTIES, "validate", "play") if not hasattr(plugin, name)]
    _require(not missing, f"it has no {', '.join(missing)}")
    game: Game = plugin  # type: ignore[assignment]  # what the next lines establish
    _check_calls(game)
    _check_names(game)
    _check_modes(game.modes)
    _check_money(game)
    for name, value in (("choice_schema", game.choice_schema or {}), ("rules", game.rules)):
        plain = type(value) is dict and is_json(value, RULES_LIMIT)
        _require(plain, f"{name} must be a JSON object without fractions")


def _check_calls(game: Game) -> None:
    _require(callable(game.validate) and _accepts(game.validate, 1), "validate must take (wager)")
    _require(
        callable(game.play) and _accepts(game.play, 4),
        "play must take (wager, draws, state, chosen)",
    )


def _accepts(call: Any, count: int) -> bool:
    try:
        inspect.signature(call).bind(*range(count))
    except (TypeError, ValueError):  # ValueError: nothing that has a signature
        return False
    return True


def _check_names(game: Game) -> None:
    _require(type(game.id) is str and _ID.fullmatch(game.id), "id must be 1-64 of a-z 0-9 -, a letter first")
    _require(
        type(game.version) is str and _VERSION.fullmatch(game.version), "version must be MAJOR.MINOR.PATCH"
    )
    _require(
        type(game.title) is str and 0 < len(game.title) <= TITLE_LIMIT and is_json(game.title),
        f"title must be a text of 1-{TITLE_LIMIT} characters",
    )


def _check_modes(modes: Mapping[str, Mode]) -> None:
    _require(isinstance(modes, Mapping) and "base" in modes, 'modes must map names to Modes and have "base"')
    for name, mode in modes.items():
        _require(type(name) is str and _ID.fullmatch(name), "a mode's name must be 1-64 of a-z 0-9 -")
        described = type(mode) is Mode and type(mode.description) is str and is_json(mode.description)
        _require(described, f"mode {name} must be a Mode")
        _require(_positive(mode.stake_multiplier), f"mode {name} needs a positive integer stake_multiplier")
    _require(modes["base"].stake_multiplier == 1, "the base mode's stake_multiplier must be 1")


def _check_money(game: Game) -> None:
    stakes = game.stakes
    _require(
        type(stakes) is tuple and stakes and all(map(_positive, stakes)), "stakes must be integers above 0"
    )
    ascending = all(low < high for low, high in pairwise(stakes))
    _require(ascending, "stakes must ascend without repeats")
    _require(_positive(game.max_win), "max_win must be a positive integer")
    dearest = max(mode.stake_multiplier for mode in game.modes.values())
    _require(stakes[-1] * max(dearest, game.max_win) <= MONEY_LIMIT, "its largest amount exceeds 2**53 - 1")


def _positive(value: object) -> bool:
    return type(value) is int and value > 0


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise DeclarationError(otherwise)
