"""Rounds that wait for their player: the offer, the choice, and the rule for a player who stays away."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class Abandonment(StrEnum):
    """The rule for a round whose player does not decide in time."""

    COLLECT = "collect"
    """The offer's default is chosen, as often as it takes, and what was won is paid."""
    REFUND = "refund"
    """The round is void: every stake of it is released."""
    HOLD = "hold"
    """The round waits for its player without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A choice that the player may make. `params` maps each parameter to its allowed values. `debit` is the
    cost, in minor units of the round's currency."""

    action: str
    params: dict[str, list[str | int | bool]] = field(default_factory=dict)
    debit: int = 0

    def admits(self, params: dict[str, Any]) -> bool:
        """Returns whether these are exactly its parameters, with allowed values; a number is no truth
        value."""
        return params.keys() == self.params.keys() and all(
            any(type(value) is type(allowed) and value == allowed for allowed in self.params[name])
            for name, value in params.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The choice that was made from an offer."""

    action: str
    params: dict[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The choices that a round waits on. The timer takes `default`, which costs nothing, for a player who has
    not decided after `decide_within_s` seconds."""

    choices: list[Choice]
    default: Chosen
    decide_within_s: int
    abandonment: Abandonment = Abandonment.COLLECT

    def find(self, chosen: Chosen) -> Choice | None:
        """The choice that was made, None when it is not offered."""
        for choice in self.choices:
            if choice.action == chosen.action and choice.admits(chosen.params):
                return choice
        return None

    def without_debits(self) -> "Offer":
        """The offer without what costs something. Its default always stays."""
        return replace(self, choices=[choice for choice in self.choices if not choice.debit])


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAction:
    """An action that costs something, whose bet the operator's wallet was asked for without an end on record.
    The fields are those of contracts.actions.PlayerAction."""

    action_id: str
    chosen: Chosen
    request_id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRound:
    """A round that waits, after `actions` of them. `left_s` is the time left to decide, in seconds, None for
    a round that waits without end. `asked` is the action that must come to its end first."""

    offer: Offer
    actions: int
    left_s: float | None
    asked: AskedAction | None = None
