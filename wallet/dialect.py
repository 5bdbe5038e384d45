"""The protocol of one kind of wallet as data: paths, field names, amounts, ids, and what its answers mean.

Each file in `dialects/` is one dialect, under its file's name. No code asks for that name: what makes wallets
different stands in these tables, and the codec reads them.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from contracts.wallet import WalletCall, WalletRefusal
from security.standard_webhooks import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER

FOLDER: Final = Path(__file__).parent / "dialects"

Source = Literal[
    "call",
    "operator_id",
    "player_id",
    "session_id",
    "currency",
    "transaction_id",
    "bet_transaction_id",
    "round_id",
    "game_id",
    "amount",
]

StatementFilter = Literal["operator_id", "player_id", "transaction_id", "round_id", "from", "to", "cursor"]
StatementField = Literal[
    "operator_id",
    "player_id",
    "transaction_id",
    "bet_transaction_id",
    "call",
    "round_id",
    "currency",
    "moved",
    "at",
]
StatementCall = Literal["bet", "win", "rollback", "opening"]

# The fields of each call, by the names of WalletRequest. A dialect says where each of them stands.
_PLAYER: Final[tuple[Source, ...]] = ("call", "operator_id", "player_id", "session_id", "currency")
_MOVEMENT: Final[tuple[Source, ...]] = (*_PLAYER, "transaction_id", "round_id", "game_id")
CONTENT: Final[Mapping[WalletCall, tuple[Source, ...]]] = {
    WalletCall.AUTHENTICATE: _PLAYER,
    WalletCall.BALANCE: _PLAYER,
    WalletCall.BET: (*_MOVEMENT, "amount"),
    WalletCall.WIN: (*_MOVEMENT, "amount", "bet_transaction_id"),
    WalletCall.ROLLBACK: (*_MOVEMENT, "bet_transaction_id"),
}
# Without these a wallet could not move the right money once; it may do without the other fields.
NEEDED: Final = frozenset({"player_id", "currency", "transaction_id", "bet_transaction_id", "amount"})
# Without these an entry of a statement says nothing of a round's money.
NEEDED_IN_ENTRY: Final = frozenset({"player_id", "transaction_id", "call", "round_id", "currency", "moved"})
ROUND_ID_LENGTH: Final = 64
# What the client itself adds to each request.
RESERVED_HEADERS: Final = frozenset(
    {
        ID_HEADER,
        TIMESTAMP_HEADER,
        SIGNATURE_HEADER,
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
    }
)

ACCEPTED: Final = "accepted"
DUPLICATE: Final = "duplicate"


class DialectError(Exception):
    """The data of a dialect cannot be used. One line that names the dialect and the key."""


class AmountForm(StrEnum):
    """An integer of minor units, a string with the currency's decimals, or an integer of millionths."""

    MINOR = "minor"
    DECIMAL = "decimal"
    MICRO = "micro"


class IdForm(StrEnum):
    """A UUID with dashes, or its 32 digits alone."""

    UUID = "uuid"
    HEX = "hex"


class TimeForm(StrEnum):
    """RFC 3339 in UTC, or an integer of milliseconds since 1970."""

    RFC3339 = "rfc3339"
    MILLISECONDS = "milliseconds"


def _split(dotted: object) -> object:
    if not isinstance(dotted, str) or not re.fullmatch(r"\w+(\.\w+)*", dotted, re.ASCII):
        raise ValueError("a place is written as names joined by dots")
    return tuple(dotted.split("."))


def _path(text: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9_-]+)+", text, re.ASCII):
        raise ValueError("a path is written as /name or /name/name")
    return text


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not re.fullmatch(r"[a-z0-9-]+", name, re.ASCII) or name in RESERVED_HEADERS:
            raise ValueError(f"a header may not be named {name!r}")
        if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", value, re.ASCII):
            raise ValueError(f"the value of {name!r} is not plain text")
    return headers


# The path of a field in a JSON object: `balance.amount` is ("balance", "amount").
Place = Annotated[tuple[str, ...], BeforeValidator(_split)]
CallPath = Annotated[str, AfterValidator(_path)]
QueryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
Meaning = Literal["accepted", "duplicate"] | WalletRefusal
Status = Annotated[int, Field(ge=200, le=599)]
Duration_s = Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)]  # a name for times: no money is near
_DATA: Final = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_DATA)
class Limits:
    """The limits of one operator's wallet. A call waits at most `wait_s` for a permit and then
    `total_s`. `calls` is how many may be under way at once. After `unknowns` unknown outcomes in a row
    nothing is asked for `pause_s`, then one call tries."""

    connect_s: Duration_s = 2
    read_s: Duration_s = 4
    total_s: Duration_s = 5
    wait_s: Duration_s = 1
    calls: Annotated[int, Field(ge=1, le=1000)] = 32
    unknowns: Annotated[int, Field(ge=1, le=1000)] = 5
    pause_s: Duration_s = 5


@dataclass(frozen=True, config=_DATA)
class Ids:
    """How transaction ids are written, and how long an id may be; a longer round id is replaced by a UUID
    that derives from it."""

    form: IdForm
    max_length: Annotated[int, Field(le=64)]

    def __post_init__(self) -> None:
        if self.max_length < (least := 36 if self.form is IdForm.UUID else 32):
            raise ValueError(f"max_length is below the {least} characters of a {self.form}")

    def transaction_id(self, text: str) -> str:
        """A transaction id as the wallet has it. Raises ValueError for what is no UUID."""
        try:
            return self._in_form(UUID(text))
        except ValueError:
            raise ValueError("a transaction id is a UUID") from None

    def round_id(self, text: str) -> str:
        """A round id as the wallet has it. One that it has already stays as it is."""
        if len(text) <= self.max_length:
            return text
        return self._in_form(uuid5(NAMESPACE_URL, f"croupier:round:{text}"))

    def _in_form(self, value: UUID) -> str:
        return value.hex if self.form is IdForm.HEX else str(value)


@dataclass(frozen=True, config=_DATA)
class AnswerFields:
    """The paths of an answer's fields. Without `duplicate`, a repeat is recognised by its code. An answer may
    repeat the transaction id of its request under `in_reply_to`, where that has a place."""

    balance: Place
    currency: Place
    code: Place
    transaction_id: Place | None = None
    in_reply_to: Place | None = None
    duplicate: Place | None = None


@dataclass(frozen=True, config=_DATA)
class StatementForm:
    """The wallet's statement. `query` has the names of what a request may be narrowed to, `item` the paths in
    an entry, `calls` what the words for its calls mean; `opening` is money that came from no round. What an
    entry moved is `signed`, or an amount that a bet takes and any other call gives."""

    path: CallPath
    items: Place
    next_cursor: Place
    times: TimeForm
    signed: bool
    query: Mapping[StatementFilter, QueryName]
    item: Mapping[StatementField, Place]
    calls: Mapping[str, StatementCall]

    def __post_init__(self) -> None:
        if missing := sorted(set(get_args(StatementFilter)) - {"operator_id"} - set(self.query)):
            raise ValueError(f"query leaves out {', '.join(missing)}")
        if len(set(self.query.values())) != len(self.query):
            raise ValueError("query has a name twice")
        if missing := sorted(NEEDED_IN_ENTRY - set(self.item)):
            raise ValueError(f"item leaves out {', '.join(missing)}")
        if missing := sorted({"bet", "win", "rollback"} - set(self.calls.values())):
            raise ValueError(f"calls leaves out {', '.join(missing)}")


@dataclass(frozen=True, config=_DATA)
class Dialect:
    """`meanings` maps a status and a code (empty when there is none) to what they say; all else is unknown.
    `also_accepted` are refusals after which nothing is left to do, such as that of a rollback whose bet the
    wallet never saw and will refuse. `signatures` are the versions of Standard Webhooks that it checks. With
    `authenticate_sessions` it is asked for `authenticate` before the first bet of a session. A wallet without
    a `statement` is not compared with our ledger."""

    name: str
    signatures: Annotated[frozenset[Literal["v1", "v1a"]], Field(min_length=1)]
    amounts: AmountForm
    repeat_balance: Literal["live", "stored"]
    ids: Ids
    paths: Mapping[WalletCall, CallPath]
    fields: Mapping[Source, Place]
    answer: AnswerFields
    meanings: Mapping[Status, Mapping[str, Meaning]]
    also_accepted: Mapping[WalletCall, frozenset[WalletRefusal]] = field(default_factory=dict)
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = field(default_factory=dict)
    authenticate_sessions: bool = False
    limits: Limits = field(default_factory=Limits)
    statement: StatementForm | None = None

    def __post_init__(self) -> None:
        if missing := sorted(set(WalletCall) - set(self.paths)):
            raise ValueError(f"paths leaves out {', '.join(missing)}")
        if lacking := sorted(NEEDED - set(self.fields)):
            raise ValueError(f"fields leaves out {', '.join(lacking)}")
        _check_apart(list(self.fields.values()))
        said = [meaning for codes in self.meanings.values() for meaning in codes.values()]
        if ACCEPTED not in said:
            raise ValueError("meanings never says accepted")
        if (self.answer.duplicate is None) is (DUPLICATE not in said):
            raise ValueError("a repeat is recognised either by answer.duplicate or by a code in meanings")
        if (
            self.statement is not None
            and self.ids.max_length < ROUND_ID_LENGTH
            and "bet_transaction_id" not in self.statement.item
        ):
            raise ValueError(
                "statement.item leaves out bet_transaction_id, by which a short round id is found"
            )

    @classmethod
    def parse(cls, name: str, text: str) -> Self:
        """Reads TOML. Raises DialectError."""
        try:
            return TypeAdapter(cls).validate_python({**tomllib.loads(text), "name": name})
        except tomllib.TOMLDecodeError as problem:
            raise DialectError(f"dialect {name}: not valid TOML: {problem}") from None
        except ValidationError as problem:
            first = problem.errors(include_input=False, include_url=False, include_context=False)[0]
            key = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise DialectError(f"dialect {name}: {key}: {first['msg']}") from None


def load(folder: Path = FOLDER) -> dict[str, Dialect]:
    """All dialects of a folder, by name. Raises DialectError for the first that cannot be used."""
    return {
        path.stem: Dialect.parse(path.stem, path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.toml"))
    }


def _check_apart(paths: list[tuple[str, ...]]) -> None:
    """Raises ValueError when a field has the path of another one, or stands inside it."""
    for index, one in enumerate(paths):
        for other in paths[index + 1 :]:
            shorter = min(len(one), len(other))
            if one[:shorter] == other[:shorter]:
                raise ValueError(f"fields: {'.'.join(one)} and {'.'.join(other)} sit on each other")
