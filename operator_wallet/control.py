"""The control interface's JSON: which faults there shall be, and what an operator does to its players."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from contracts.wallet import WalletCall
from operator_wallet.entries import AMOUNT_LIMIT
from operator_wallet.faults import Cue, Kind, Plan, Schedule

# A time may have a fraction; nothing else here has.
Duration_s = float
TIME_LIMIT_S: Final = 600
PLAN_FIELDS: Final = frozenset(
    {"seed", "rates", "schedule", "script", "only", "until_count", "slow_s", "delay_s", "hold_s"}
)


class NotUnderstood(Exception):
    """What is wrong with the request, as its sender reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerOrder:
    """Opens the player when `balance` (minor units) is given, blocks or unblocks when `blocked` is."""

    operator_id: str
    player_id: str
    currency: str | None
    balance: int | None
    blocked: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnd:
    """The session takes no more bets."""

    operator_id: str
    session_id: str


def read_plan(body: bytes) -> Plan:
    """{"seed": 1, "rates": {"slow": 0.1}, "script": [{"kind": "html", "call": "win"}], "only": ["bet"],
    "until_count": 10, "slow_s": 2, "delay_s": 2, "hold_s": 5}; all may be missing. In the place of rates,
    "schedule": {"one_in": {"bet": 5, "win": 5}, "times": 1}. Raises NotUnderstood."""
    fields = _fields(body, PLAN_FIELDS)
    if fields.get("rates") and fields.get("schedule"):
        raise NotUnderstood("faults have either rates or a schedule")
    given: dict[str, Any] = {
        name: read(fields[name])
        for name, read in (
            ("seed", _count),
            ("rates", _rates),
            ("schedule", _schedule),
            ("script", _script),
            ("only", _calls),
            ("until_count", _count),
            ("slow_s", _seconds),
            ("delay_s", _seconds),
            ("hold_s", _seconds),
        )
        if fields.get(name) is not None
    }
    return Plan(**given)


def read_player(body: bytes) -> PlayerOrder:
    """{"operator_id", "player_id", "currency"?, "balance"?, "blocked"?}. Raises NotUnderstood."""
    names = frozenset({"operator_id", "player_id", "currency", "balance", "blocked"})
    fields = _fields(body, names)
    balance, blocked = fields.get("balance"), fields.get("blocked")
    if blocked is not None and not isinstance(blocked, bool):
        raise NotUnderstood("blocked is true or false")
    return PlayerOrder(
        operator_id=_text(fields.get("operator_id")),
        player_id=_text(fields.get("player_id")),
        currency=None if fields.get("currency") is None else _text(fields["currency"]),
        balance=None if balance is None else _count(balance),
        blocked=blocked,
    )


def read_session_end(body: bytes) -> SessionEnd:
    """{"operator_id", "session_id"}. Raises NotUnderstood."""
    fields = _fields(body, frozenset({"operator_id", "session_id"}))
    return SessionEnd(
        operator_id=_text(fields.get("operator_id")), session_id=_text(fields.get("session_id"))
    )


def _fields(body: bytes, names: frozenset[str]) -> dict[str, Any]:
    try:
        # Shares are exact this way.
        fields = json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise NotUnderstood("the body is not JSON") from None
    if not isinstance(fields, dict) or not fields.keys() <= names:
        raise NotUnderstood(f"the body is an object with some of: {', '.join(sorted(names))}")
    return fields


def _no_number(text: str) -> None:
    raise ValueError("no number")


def _text(value: object) -> str:
    if not (isinstance(value, str) and 1 <= len(value) <= 255 and value.isprintable()):
        raise NotUnderstood("an id is a text of 1 to 255 printable characters")
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= AMOUNT_LIMIT:
        raise NotUnderstood("a number is an integer, not below 0")
    return value


def _positive(value: object) -> int:
    if (number := _count(value)) < 1:
        raise NotUnderstood("a number here is at least 1")
    return number


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= TIME_LIMIT_S:
        raise NotUnderstood(f"a time is between 0 and {TIME_LIMIT_S} seconds")
    return Duration_s(value)


def _rates(value: object) -> Mapping[Kind, Decimal]:
    if not isinstance(value, dict):
        raise NotUnderstood("rates are shares by kind")
    rates = {_kind(name): _share(share) for name, share in value.items()}
    if sum(rates.values()) > 1:
        raise NotUnderstood("the shares are more than 1 together")
    return rates


def _schedule(value: object) -> Schedule:
    if not isinstance(value, dict) or not {"one_in"} <= value.keys() <= {"one_in", "times"}:
        raise NotUnderstood("a schedule has one_in, and perhaps times")
    if not isinstance(value["one_in"], dict) or not value["one_in"]:
        raise NotUnderstood("one_in has a number of calls, by call")
    one_in = {_call(name): _positive(number) for name, number in value["one_in"].items()}
    return Schedule(one_in=one_in, times=_positive(value.get("times", 1)))


def _share(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= 1:
        raise NotUnderstood("a share is between 0 and 1")
    return Decimal(value)


def _script(value: object) -> tuple[Cue, ...]:
    if not isinstance(value, list):
        raise NotUnderstood("a script is a list of cues")
    return tuple(_cue(line) for line in value)


def _cue(value: object) -> Cue:
    if not isinstance(value, dict) or not {"kind"} <= value.keys() <= {"kind", "call", "transaction_id"}:
        raise NotUnderstood("a cue has a kind, and perhaps a call and a transaction_id")
    call, transaction_id = value.get("call"), value.get("transaction_id")
    return Cue(
        kind=None if value["kind"] is None else _kind(value["kind"]),
        call=None if call is None else _call(call),
        transaction_id=None if transaction_id is None else _text(transaction_id),
    )


def _calls(value: object) -> frozenset[WalletCall]:
    if not isinstance(value, list):
        raise NotUnderstood("only is a list of calls")
    return frozenset(_call(name) for name in value)


def _kind(value: object) -> Kind:
    try:
        return Kind(value)  # type: ignore[arg-type]  # whatever it is, it is one of them or it is refused
    except ValueError:
        raise NotUnderstood(f"a kind is one of: {', '.join(Kind)}") from None


def _call(value: object) -> WalletCall:
    try:
        return WalletCall(value)  # type: ignore[arg-type]  # as above
    except ValueError:
        raise NotUnderstood(f"a call is one of: {', '.join(WalletCall)}") from None
