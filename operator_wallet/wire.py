"""What goes over the line: requests, read strictly after their signature, and answers, as
docs/platform/wallet.md has them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from contracts.wallet import WalletCall, WalletRefusal, WalletRequest
from operator_wallet.entries import AMOUNT_LIMIT, Entry, Refused, Taken
from security.standard_webhooks import WebhookCheck, WebhookRefused, verify

# Seconds since 1970.
Clock_s = Callable[[], float]

TEXT_LIMIT: Final = 255
STATEMENT_PAGE: Final = 100

STATUSES: Final[Mapping[WalletRefusal, int]] = {
    WalletRefusal.SESSION_EXPIRED: 401,
    WalletRefusal.BAD_SIGNATURE: 401,
    WalletRefusal.INSUFFICIENT_FUNDS: 402,
    WalletRefusal.PLAYER_BLOCKED: 403,
    WalletRefusal.UNKNOWN_TRANSACTION: 404,
    WalletRefusal.ID_REUSED: 409,
    WalletRefusal.ROLLED_BACK: 409,
    WalletRefusal.ALREADY_WON: 409,
    WalletRefusal.CURRENCY_MISMATCH: 422,
    WalletRefusal.INVALID: 422,
}


def _text(value: object) -> str:
    if not (isinstance(value, str) and 1 <= len(value) <= TEXT_LIMIT and value.isprintable()):
        raise Refused(WalletRefusal.INVALID)
    return value


def _text_or_null(value: object) -> str | None:
    return None if value is None else _text(value)


def _amount(value: object) -> int:
    # A bool is an int to Python, and no amount to anybody.
    if type(value) is not int or not 0 <= value <= AMOUNT_LIMIT:
        raise Refused(WalletRefusal.INVALID)
    return value


Reader = Callable[[object], str | int | None]

SUBJECT: Final[Mapping[str, Reader]] = {
    "operator_id": _text,
    "player_id": _text,
    "session_id": _text,
    "currency": _text,
}
MOVEMENT: Final[Mapping[str, Reader]] = {
    **SUBJECT,
    "transaction_id": _text,
    "round_id": _text,
    "game_id": _text,
}
FIELDS: Final[Mapping[WalletCall, Mapping[str, Reader]]] = {
    WalletCall.AUTHENTICATE: SUBJECT,
    WalletCall.BALANCE: SUBJECT,
    WalletCall.BET: {**MOVEMENT, "amount": _amount},
    WalletCall.WIN: {**MOVEMENT, "amount": _amount, "bet_transaction_id": _text_or_null},
    WalletCall.ROLLBACK: {**MOVEMENT, "bet_transaction_id": _text},
}


@dataclass(frozen=True, slots=True)
class StatementRequest:
    """`filters` are those of Book.statement."""

    filters: Mapping[str, str | int]


def read_call(
    call: WalletCall,
    headers: Mapping[str, str],
    body: bytes,
    *,
    checks: Sequence[WebhookCheck],
    now: Clock_s,
) -> WalletRequest:
    """`call` is the path's; `headers` has lower-case names. Raises Refused: `bad-signature`, or `invalid` for
    a body that does not fit the page. Nothing of a body is read before its signature is checked."""
    _verify(headers, body, checks, now)
    fields = _object(body)
    # The path is not signed. Without this, an attacker who holds up a win on its way could send it as a
    # rollback.
    if fields.pop("call", None) != call.value:
        raise Refused(WalletRefusal.INVALID)
    readers = FIELDS[call]
    if call is WalletCall.ROLLBACK and "amount" in fields:
        # Some clients send their own amount of the bet; the recorded bet decides.
        _amount(fields.pop("amount"))
    if fields.keys() != readers.keys():
        raise Refused(WalletRefusal.INVALID)
    return WalletRequest(call=call, **{name: read(fields[name]) for name, read in readers.items()})  # type: ignore[arg-type]  # each reader returns what its field is


def read_statement(
    target: str, headers: Mapping[str, str], *, checks: Sequence[WebhookCheck], now: Clock_s
) -> StatementRequest:
    """`target` is the request's, path and query as they came; it is what is signed. Raises Refused."""
    _verify(headers, target.encode("latin-1"), checks, now)
    try:
        query = parse_qsl(urlsplit(target).query, keep_blank_values=True, strict_parsing="?" in target)
        filters = dict(_filter(name, value) for name, value in query)
    except (ValueError, KeyError):
        raise Refused(WalletRefusal.INVALID) from None
    if len(filters) != len(query):
        raise Refused(WalletRefusal.INVALID)
    return StatementRequest(filters)


def answer(outcome: Taken | Refused) -> tuple[int, dict[str, Any]]:
    """The status and the body."""
    if isinstance(outcome, Taken):
        return 200, {
            "balance": outcome.balance,
            "currency": outcome.currency,
            "transaction_id": outcome.wallet_transaction_id,
            "duplicate": outcome.duplicate,
        }
    known = {} if outcome.balance is None else {"balance": outcome.balance}
    return STATUSES[outcome.code], {"code": outcome.code.value, **known}


def statement_body(entries: Sequence[Entry]) -> dict[str, Any]:
    """`entries` is a page, and one more where there is more to come."""
    page = entries[:STATEMENT_PAGE]
    return {
        "items": [_entry_body(entry) for entry in page],
        "next_cursor": str(page[-1].number) if len(entries) > len(page) else None,
    }


def _entry_body(entry: Entry) -> dict[str, Any]:
    return {
        "wallet_transaction_id": str(entry.number),
        "operator_id": entry.operator_id,
        "player_id": entry.player_id,
        "transaction_id": entry.transaction_id,
        "call": entry.call,
        "round_id": entry.round_id,
        "game_id": entry.game_id,
        "bet_transaction_id": entry.bet_transaction_id,
        "currency": entry.currency,
        "moved": entry.moved,
        "balance": entry.balance,
        "at": _time(entry.at_ms),
    }


def _verify(headers: Mapping[str, str], content: bytes, checks: Sequence[WebhookCheck], now: Clock_s) -> None:
    try:
        verify(checks, headers, content, now=now)
    except WebhookRefused:
        raise Refused(WalletRefusal.BAD_SIGNATURE) from None


def _object(body: bytes) -> dict[str, Any]:
    """JSON without what two readers may read differently: names twice, fractions, NaN, other encodings."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_without_repeats,
            parse_float=_never,
            parse_constant=_never,
        )
    except (ValueError, RecursionError):
        raise Refused(WalletRefusal.INVALID) from None
    if not isinstance(value, dict):
        raise Refused(WalletRefusal.INVALID)
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _never(text: str) -> None:
    raise ValueError("a number that is no integer")


def _filter(name: str, value: str) -> tuple[str, str | int]:
    """Raises KeyError for a name that there is not, ValueError for a value that does not fit."""
    match name:
        case "cursor":
            if not (value.isascii() and value.isdigit() and len(value) <= 18):
                raise ValueError("a cursor is the one of the page before")
            return "after", int(value)
        case "from" | "to":
            return f"{name}_ms", _milliseconds(value)
        case "operator_id" | "player_id" | "round_id" | "transaction_id":
            return name, _text(value)
        case _:
            raise KeyError(name)


def _milliseconds(text: str) -> int:
    """RFC 3339 to milliseconds since 1970, without a fraction on the way."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without its zone")
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def _time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"
