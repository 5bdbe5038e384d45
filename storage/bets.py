"""A bet as an argument of the ledger, the type `bet_v1`, and as `wallet_bets` stores it."""

from collections.abc import Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final

import msgspec

from contracts.rounds import STORED_OF_BET, Bet, RoundKey

# The ledger reads these from the player and the session, whatever the bet says.
_THE_LEDGERS_OWN: Final = ("demo", "jurisdiction")
# In the order of the type's columns: a new field of a bet comes last.
FIELDS: Final = (
    *(f"key.{field.name}" for field in fields(RoundKey)),
    *(name for name in STORED_OF_BET if name not in ("key", *_THE_LEDGERS_OWN)),
)
_values = attrgetter(*FIELDS)


def bet_parameter(first: int = 1) -> str:
    """The bet in a statement's text, whose fields are the statement's last arguments, from `$first` on."""
    numbers = range(first, first + len(FIELDS))
    return f"ROW({', '.join(f'${number}' for number in numbers)})::bet_v1"


def bet_arguments(bet: Bet) -> tuple[Any, ...]:
    """The arguments that `bet_parameter` stands for."""
    values: tuple[Any, ...] = _values(bet)
    return values


def stored_bet(document: Mapping[str, Any]) -> Bet:
    """The bet that `wallet_bets.bet` stores."""
    return msgspec.convert(document, Bet)
