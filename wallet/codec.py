"""Requests into a dialect's bytes, and a dialect's bytes into answers; pure, exact, and strict in reading."""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from contracts.failures import bounded
from contracts.wallet import WalletAnswer, WalletCall, WalletRefusal, WalletRequest, WalletVerdict
from wallet import amounts
from wallet.dialect import ACCEPTED, CONTENT, DUPLICATE, Dialect

# The one field that may be null: a win by promotion has no bet.
OPTIONAL: Final = {(WalletCall.WIN, "bet_transaction_id")}
EXCERPT_LENGTH: Final = 120
WALLET_ID_LENGTH: Final = 128
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `message_id` is the transaction id as the wallet reads it, None for a call
    that moves nothing."""

    path: str
    message_id: str | None
    body: bytes


class _Unreadable(Exception):
    """The answer is not certain. `code` is the answer's, `why` is for people."""

    def __init__(self, code: str, why: str) -> None:
        self.code = code
        self.why = why


def encode(request: WalletRequest, dialect: Dialect) -> Message:
    """Raises amounts.NotExpressible for a currency or an amount that the dialect cannot write, and ValueError
    for a request that lacks what its call needs or whose transaction ids are no UUIDs."""
    amounts.check_currency(request.currency, dialect.amounts)
    body: dict[str, Any] = {}
    for source in CONTENT[request.call]:
        if (place := dialect.fields.get(source)) is not None:
            _put(body, place, _written(request, source, dialect))
    return Message(
        path=dialect.paths[request.call],
        message_id=request.transaction_id and dialect.ids.transaction_id(request.transaction_id),
        body=json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(),
    )


def decode(status: int, body: bytes, request: WalletRequest, dialect: Dialect) -> WalletAnswer:
    """The wallet's answer to `request`. Nothing raises: whatever the body, there is an answer."""
    try:
        return _answer(status, body, request, dialect)
    except _Unreadable as problem:
        return unknown(problem.code, f"{problem.why}; it said: {excerpt(body)}" if body else problem.why)


def unknown(code: str, detail: str, *, sent: bool = True) -> WalletAnswer:
    """The answer that stands for no certain answer."""
    return WalletAnswer(verdict=WalletVerdict.UNKNOWN, code=code, detail=bounded(detail), sent=sent)


def excerpt(body: bytes) -> str:
    """The beginning of a foreign body, as one line that is safe to store and to show."""
    text = body[: 4 * EXCERPT_LENGTH].decode("utf-8", errors="replace")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= EXCERPT_LENGTH else f"{line[:EXCERPT_LENGTH]}…"


def _answer(status: int, body: bytes, request: WalletRequest, dialect: Dialect) -> WalletAnswer:
    codes = dialect.meanings.get(status)
    if codes is None:
        raise _Unreadable(f"status-{status}", f"status {status} means nothing in this protocol")
    said = _object(body)
    _check_request(said, request, dialect)
    meaning = codes.get(_code(said, dialect))
    if meaning is None:
        raise _Unreadable("unknown-code", f"the code under status {status} is not one that is agreed")
    # A balance beside this refusal is in the wallet's currency, so it is none that was asked for.
    mismatch = meaning == WalletRefusal.CURRENCY_MISMATCH
    balance = None if mismatch else _balance(said, request, dialect, needed=meaning == ACCEPTED)
    if meaning in (ACCEPTED, DUPLICATE):
        duplicate = meaning == DUPLICATE or _flag(said, dialect)
        return WalletAnswer(
            verdict=WalletVerdict.ACCEPTED,
            balance=balance,
            balance_stored=duplicate and dialect.repeat_balance == "stored",
            wallet_transaction_id=_wallet_id(said, dialect),
            duplicate=duplicate,
            # The call is taken, whatever its player has: a balance that cannot be shown decides nothing.
            detail=excerpt(body) if meaning == ACCEPTED and balance is None else "",
        )
    if meaning in dialect.also_accepted.get(request.call, ()):
        detail = f"the wallet said {meaning}: nothing is left to do"
        return WalletAnswer(verdict=WalletVerdict.ACCEPTED, balance=balance, detail=detail)
    return WalletAnswer(
        verdict=WalletVerdict.REFUSED, code=str(meaning), balance=balance, detail=excerpt(body)
    )


# Writing


def _written(request: WalletRequest, source: str, dialect: Dialect) -> int | str | None:
    value: int | str | None = getattr(request, source)
    if value is None and (request.call, source) in OPTIONAL:
        return None
    if value is None:
        raise ValueError(f"a {request.call} needs {source}")
    match source:
        case "amount":
            return amounts.write(_minor_units(value), request.currency, dialect.amounts)
        case "transaction_id" | "bet_transaction_id":
            return dialect.ids.transaction_id(str(value))
        case "round_id":
            return dialect.ids.round_id(str(value))
        case _:
            return value


def _minor_units(value: int | str) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("an amount is a count of minor units, not below 0")
    return value


def _put(body: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    *folders, name = place
    for folder in folders:
        body = body.setdefault(folder, {})
    body[name] = value


# Reading


def _object(body: bytes) -> dict[str, Any]:
    if not body:
        raise _Unreadable("empty", "the body is empty")
    try:
        # A fraction becomes a Decimal wherever it stands, so that none is ever a float; an amount is neither.
        said = json.loads(
            body.decode("utf-8"), object_pairs_hook=_once, parse_float=Decimal, parse_constant=_refused
        )
    except (ValueError, ArithmeticError, RecursionError):
        raise _Unreadable("not-json", "the body is not JSON, or says a name twice") from None
    if not isinstance(said, dict):
        raise _Unreadable("not-json", "the body is not a JSON object")
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name appears twice")
    return fields


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _at(said: Any, place: tuple[str, ...]) -> Any:
    """The value at the path. Null counts as absent."""
    for name in place:
        if not isinstance(said, dict):
            return _ABSENT
        said = said.get(name)
    return _ABSENT if said is None else said


def _code(said: dict[str, Any], dialect: Dialect) -> str:
    value = _at(said, dialect.answer.code)
    if value is _ABSENT:
        return ""
    if not isinstance(value, str):
        raise _Unreadable("bad-field", "the code is not a string")
    return value


def _balance(said: dict[str, Any], request: WalletRequest, dialect: Dialect, *, needed: bool) -> int | None:
    _check_currency(said, request, dialect, needed=needed)
    value = _at(said, dialect.answer.balance)
    if value is _ABSENT and needed:
        raise _Unreadable("missing-field", "the answer lacks the balance")
    if value is _ABSENT:
        return None
    try:
        return amounts.read_balance(value, request.currency, dialect.amounts)
    except ValueError as problem:
        raise _Unreadable("bad-amount", f"the balance cannot be read: {problem}") from None


def _check_request(said: dict[str, Any], request: WalletRequest, dialect: Dialect) -> None:
    """An answer that names a transaction answers that one. Most name none."""
    if dialect.answer.in_reply_to is None or request.transaction_id is None:
        return
    value = _at(said, dialect.answer.in_reply_to)
    if value is not _ABSENT and value != dialect.ids.transaction_id(request.transaction_id):
        raise _Unreadable("other-request", "the answer is to another request")


def _check_currency(said: dict[str, Any], request: WalletRequest, dialect: Dialect, *, needed: bool) -> None:
    value = _at(said, dialect.answer.currency)
    if value is _ABSENT and needed:
        raise _Unreadable("missing-field", "the answer lacks the currency")
    if value is not _ABSENT and value != request.currency:
        raise _Unreadable("other-currency", f"the answer is not in {request.currency}")


def _flag(said: dict[str, Any], dialect: Dialect) -> bool:
    value = _at(said, dialect.answer.duplicate) if dialect.answer.duplicate else _ABSENT
    if value is _ABSENT:
        return False
    if not isinstance(value, bool):
        raise _Unreadable("bad-field", "the flag of a repeat is neither true nor false")
    return value


def _wallet_id(said: dict[str, Any], dialect: Dialect) -> str | None:
    """The wallet's own id, which may be an integer: some wallets count their transactions."""
    value = _at(said, dialect.answer.transaction_id) if dialect.answer.transaction_id else _ABSENT
    if value is _ABSENT:
        return None
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or len(text) > WALLET_ID_LENGTH or not text.isprintable():
        raise _Unreadable("bad-field", "the wallet's transaction id is not a short text")
    return text
