"""An operator's wallet's own statement, read page by page, and where it differs from our ledger.

What docs/platform/wallet-statement.md describes, or the wallet's dialect. The wallet is as untrusted here as
in a call: the same kind of client, a bounded body, every field by its exact type.
"""

import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx

from contracts.failures import bounded
from contracts.rounds import RoundState
from contracts.wallet import WalletCall
from outbound.addresses import Resolve
from outbound.client import Answer, ClientLimits, OutboundClient, Unanswered
from security.standard_webhooks import SharedSecret, WebhookKey, signed_headers
from storage.reconciliation import WalletRound
from wallet import amounts
from wallet.dialect import AmountForm, Dialect, StatementField, StatementFilter, StatementForm, TimeForm
from wallet.operator import transaction_id
from wallet.operator_http import OperatorWalletConfig, signing_keys

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PAGE_ITEMS: Final = 100
# A hundred items whose texts are as long as they may be.
PAGE_BYTES: Final = 256 * 1024
TEXT_LIMIT: Final = 255
OPENING: Final = "opening"
# Statuses by which a wallet says that it has no statement.
NOT_OFFERED: Final = frozenset({404, 405})
MOVING: Final = frozenset({WalletCall.BET.value, WalletCall.WIN.value, WalletCall.ROLLBACK.value})


class NoStatement(Exception):
    """The wallet does not offer one."""


class StatementUnavailable(Exception):
    """The wallet offers a statement and did not give a valid one. It is asked again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementItem:
    """One entry of the wallet's statement. `moved` is the change of its player's balance, in minor units of
    `currency`. Transaction ids are as we write them, `written_id` is the entry's as the wallet does, and so
    is `round_id`; `bet_transaction_id` is None where the wallet does not say, and so is `at`, the time by the
    wallet's clock."""

    operator_id: str
    player_id: str
    transaction_id: str
    written_id: str
    call: str
    round_id: str | None
    currency: str
    moved: int
    bet_transaction_id: str | None = None
    at: datetime | None = None

    @property
    def bet_id(self) -> str | None:
        """The bet's transaction id; the entry may be the bet itself."""
        return self.transaction_id if self.call == WalletCall.BET else self.bet_transaction_id

    def as_dict(self) -> dict[str, Any]:
        return {
            "transaction_id": self.written_id,
            "call": self.call,
            "moved": self.moved,
            "currency": self.currency,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementQuery:
    """A query for a time span (its end not included), or for one transaction or one round of a player.
    `written_id` is the transaction's id as the wallet writes it."""

    operator_id: str
    since: datetime | None = None
    until: datetime | None = None
    player_id: str | None = None
    written_id: str | None = None
    round_id: str | None = None


class Statement:
    """One operator's wallet's statement. Raises NoStatement and StatementUnavailable."""

    def __init__(
        self,
        url: str,
        dialect: Dialect,
        form: StatementForm,
        keys: Sequence[WebhookKey],
        http: OutboundClient,
        *,
        now_s: Callable[[], float],
    ) -> None:
        self._url, self._dialect, self._form = url, dialect, form
        self._keys = keys
        self._http = http
        self._now_s = now_s

    def written_id(self, transaction_id: str) -> str:
        """An id of ours as the wallet writes it; any other as it is."""
        try:
            return self._dialect.ids.transaction_id(transaction_id)
        except ValueError:
            return transaction_id

    async def items(self, query: StatementQuery) -> AsyncIterator[StatementItem]:
        """Yields the entries that match, oldest first, page after page."""
        cursor: str | None = None
        while True:
            page, following = await self._page(query, cursor)
            for item in page:
                yield item
            if following is None:
                return
            if following == cursor or not page:
                raise StatementUnavailable("the pages of the statement do not end")
            cursor = following

    async def _page(
        self, query: StatementQuery, cursor: str | None
    ) -> tuple[list[StatementItem], str | None]:
        parameters = _parameters(query, cursor, self._dialect, self._form)
        answer = await self._ask(httpx.URL(f"{self._url}{self._form.path}?{parameters}"))
        if answer.status in NOT_OFFERED:
            raise NoStatement
        if answer.status != httpx.codes.OK:
            raise StatementUnavailable(f"the statement: status {answer.status}")
        return _read(answer.body, query, self._dialect, self._form)

    async def _ask(self, url: httpx.URL) -> Answer:
        headers = signed_headers(
            self._keys,
            message_id=str(uuid4()),
            timestamp=int(self._now_s()),
            body=url.raw_path,  # it stands in the request line like this, byte for byte
        )
        try:
            async with self._http.permit():
                return await self._http.ask(
                    "GET", url, headers=headers, wanted=(httpx.codes.OK,), body_limit=PAGE_BYTES
                )
        except Unanswered as problem:
            raise StatementUnavailable(bounded(f"{problem.code}: {problem}")) from None


@asynccontextmanager
async def open_statement(
    config: OperatorWalletConfig,
    dialect: Dialect,
    *,
    platform_keys: Sequence[WebhookKey] = (),
    tls: ssl.SSLContext,
    resolve: Resolve | None = None,
    now_s: Callable[[], float] = time.time,
) -> AsyncIterator[Statement]:
    """The statement over a connection of its own, so that reading it takes no permit from a round's calls.
    Raises NoStatement where the dialect has none, ValueError for a wallet that is set up so that it cannot be
    asked."""
    if dialect.statement is None:
        raise NoStatement
    secrets = [SharedSecret.parse(secret) for secret in config.secrets]
    keys = signing_keys([*secrets, *platform_keys], dialect)
    limits = config.limits or dialect.limits
    http = OutboundClient(
        local=config.local,
        limits=ClientLimits(
            connect_s=limits.connect_s, read_s=limits.read_s, total_s=limits.total_s, calls=1
        ),
        headers={**dialect.headers, "accept": "application/json"},
        tls=tls,
        resolve=resolve,
    )
    async with aclosing(http):
        yield Statement(config.base_url(), dialect, dialect.statement, keys, http, now_s=now_s)


def difference(item: StatementItem, ours: WalletRound | None) -> str | None:
    """How the wallet's entry of a transaction differs from our ledger, or None when it does not."""
    if item.call == OPENING:
        return None
    if ours is None or item.call not in MOVING:
        return "the wallet took what we never asked for"
    part = part_of(item, ours)
    if part is None:
        return "the wallet took it under an id that is not ours"
    if item.currency != ours.currency:
        return "another currency"
    return _amount_difference(WalletCall(item.call), item.moved, part)


def part_of(item: StatementItem, ours: WalletRound) -> WalletRound | None:
    """The round as far as it is about the bet that the entry belongs to; None when that is none of ours."""
    call = WalletCall(item.call)
    if item.transaction_id == transaction_id(ours.key, call):
        return ours.of_first_bet()
    for action in ours.actions:
        if call is not WalletCall.WIN and item.transaction_id == transaction_id(
            ours.key, call, action.action_id
        ):
            return ours.of_action(action)
    return None


def _amount_difference(call: WalletCall, moved: int, ours: WalletRound) -> str | None:
    allowed = allowed_moves(call, ours)
    if not allowed:
        return f"the wallet took it, and our round is {ours.state or 'not there'}"
    return None if moved in allowed else "another amount"


def allowed_moves(call: WalletCall, ours: WalletRound) -> frozenset[int]:
    """What the wallet may have moved for that call, in minor units; empty when it should not have been
    taken."""
    match call:
        case WalletCall.BET if ours.state is not RoundState.DECLINED:
            return frozenset({-ours.stake})
        case WalletCall.WIN if ours.state in (RoundState.SETTLING, RoundState.SETTLED):
            return frozenset({ours.win})
        case WalletCall.ROLLBACK if ours.returned is not None:
            return frozenset({ours.returned})
        case WalletCall.ROLLBACK if ours.releasing or ours.state is RoundState.VOID:
            # The rollback released a bet that the wallet had taken; without one it left only its mark.
            return frozenset({0, ours.stake})
        case _:
            return frozenset()


def _parameters(query: StatementQuery, cursor: str | None, dialect: Dialect, form: StatementForm) -> str:
    """The query of the request's target, in the dialect's names and forms."""
    given: dict[StatementFilter, str | None] = {
        "operator_id": query.operator_id if "operator_id" in form.query else None,
        "player_id": query.player_id,
        "transaction_id": query.written_id,
        "round_id": query.round_id and dialect.ids.round_id(query.round_id),
        "from": None if query.since is None else _written_time(query.since, form.times),
        "to": None if query.until is None else _written_time(query.until, form.times),
        "cursor": cursor,
    }
    return "&".join(
        f"{form.query[name]}={quote(value, safe='')}" for name, value in given.items() if value is not None
    )


def _read(
    body: bytes, query: StatementQuery, dialect: Dialect, form: StatementForm
) -> tuple[list[StatementItem], str | None]:
    try:
        page = json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_never)
        items, following = _at(page, form.items), _at(page, form.next_cursor)
        if type(items) is not list or len(items) > PAGE_ITEMS:
            raise ValueError("items")
        read = [_item(item, query.operator_id, dialect, form) for item in items]
        if any(item.operator_id != query.operator_id for item in read):
            raise ValueError("operator_id")
        return read, None if following is None else _text(following)
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as problem:
        raise StatementUnavailable(f"no statement: {type(problem).__name__}") from None


def _item(fields: Any, operator_id: str, dialect: Dialect, form: StatementForm) -> StatementItem:
    places = form.item
    round_id, word = _at(fields, places["round_id"]), _text(_at(fields, places["call"]))
    currency, call = _text(_at(fields, places["currency"])), form.calls.get(word, word)
    bet_id, at = _optional(fields, places, "bet_transaction_id"), _optional(fields, places, "at")
    written_id = _text(_at(fields, places["transaction_id"]))
    return StatementItem(
        operator_id=_text(_at(fields, places["operator_id"])) if "operator_id" in places else operator_id,
        player_id=_text(_at(fields, places["player_id"])),
        transaction_id=as_ours(written_id),
        written_id=written_id,
        bet_transaction_id=None if bet_id is None else as_ours(_text(bet_id)),
        at=None if at is None else _read_time(at, form.times),
        call=call,
        round_id=None if round_id is None else _text(round_id),
        currency=currency,
        moved=_moved(_at(fields, places["moved"]), currency, call, dialect.amounts, signed=form.signed),
    )


def _optional(fields: Any, places: Mapping[StatementField, tuple[str, ...]], name: StatementField) -> Any:
    """None where the dialect has no place for it, or the wallet leaves it out."""
    try:
        return _at(fields, places[name])
    except (KeyError, TypeError):
        return None


def _moved(value: Any, currency: str, call: str, form: AmountForm, *, signed: bool) -> int:
    if not signed:
        amount = amounts.read(value, currency, form)
        return -amount if call == WalletCall.BET else amount
    if isinstance(value, str) and value.startswith("-"):
        return -amounts.read(value[1:], currency, form)
    if type(value) is int and value < 0:
        return -amounts.read(-value, currency, form)
    return amounts.read(value, currency, form)


def _at(fields: Any, place: tuple[str, ...]) -> Any:
    """Raises KeyError or TypeError where there is no such place."""
    for name in place:
        fields = fields[name]
    return fields


def _text(value: object) -> str:
    if type(value) is not str or not 1 <= len(value) <= TEXT_LIMIT:
        raise ValueError("text")
    return value


def _never(text: str) -> None:
    raise ValueError("no JSON")


def as_ours(text: str) -> str:
    """A transaction id as we write it. What is no UUID is not ours, and stays as it is."""
    try:
        return str(UUID(text))
    except ValueError:
        return text


def _written_time(moment: datetime, form: TimeForm) -> str:
    if form is TimeForm.MILLISECONDS:
        return str((moment - EPOCH) // timedelta(milliseconds=1))
    return _rfc3339(moment)


def _read_time(value: object, form: TimeForm) -> datetime:
    if form is TimeForm.MILLISECONDS:
        if type(value) is not int:
            raise ValueError("at")
        return EPOCH + timedelta(milliseconds=value)
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError("at")
    return moment


def _rfc3339(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
