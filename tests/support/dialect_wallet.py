"""An operator's wallet that talks in any dialect, from the dialect's data: calls, a statement, and a clock of
its own. It checks every signature, and keeps what it took."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from contracts.wallet import WalletCall
from security.standard_webhooks import WebhookCheck, verify
from wallet import amounts
from wallet.dialect import ACCEPTED, DUPLICATE, Dialect, StatementForm, TimeForm

CURRENCY: Final = "EUR"
# So that whoever reads it has to turn pages.
PAGE: Final = 3


@dataclass
class Entry:
    """Ids as the wallet has them; `moved` in minor units."""

    call: WalletCall
    player_id: str
    transaction_id: str
    bet_transaction_id: str | None
    round_id: str
    moved: int
    at: datetime


@dataclass
class DialectWallet:
    """`behind` is how slow its clock is."""

    dialect: Dialect
    operator_id: str
    checks: Sequence[WebhookCheck]
    url: str = ""
    behind: timedelta = timedelta(0)
    entries: list[Entry] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # the targets of the statement's requests

    def balance(self, player_id: str) -> int:
        return 1_000_000 + sum(entry.moved for entry in self.entries if entry.player_id == player_id)

    def take(
        self, call: WalletCall, *, moved: int, player_id: str, transaction_id: str | None = None
    ) -> Entry:
        """Enters what nobody asked for, a moment ago: a query's times are whole milliseconds."""
        moment = self._now() - timedelta(seconds=1)
        entry = Entry(call, player_id, transaction_id or str(uuid4()), None, uuid4().hex, moved, moment)
        self.entries.append(entry)
        return entry

    def lose(self, call: WalletCall) -> Entry:
        """Takes the latest entry of the call out of the book again."""
        lost = next(entry for entry in reversed(self.entries) if entry.call is call)
        self.entries.remove(lost)
        return lost

    def _now(self) -> datetime:
        return datetime.now(UTC) - self.behind

    # Calls

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        verify(self.checks, headers, target.encode() if method == "GET" else body, now=time.time)
        if method == "GET":
            return json.dumps(self._statement(target)).encode()
        call = next(call for call, path in self.dialect.paths.items() if path == target)
        asked = json.loads(body)
        said: dict[str, Any] = {
            source: _at(asked, place)
            for source, place in self.dialect.fields.items()
            if _at(asked, place) is not None
        }
        return json.dumps(self._take(call, said)).encode()

    def _take(self, call: WalletCall, said: Mapping[str, Any]) -> dict[str, Any]:
        duplicate = any(entry.transaction_id == said["transaction_id"] for entry in self.entries)
        if not duplicate:
            amount = amounts.read(said["amount"], CURRENCY, self.dialect.amounts) if "amount" in said else 0
            if call is WalletCall.ROLLBACK:
                bets = [e for e in self.entries if e.transaction_id == said["bet_transaction_id"]]
                if not bets and (words := self.dialect.also_accepted.get(call)):
                    return self._answer(said["player_id"], min(words))
                amount = -sum(bet.moved for bet in bets)
            ids = {name: said.get(name) for name in ("player_id", "transaction_id", "round_id")}
            moved = -amount if call is WalletCall.BET else amount
            bet_id = said.get("bet_transaction_id")
            self.entries.append(Entry(call, bet_transaction_id=bet_id, moved=moved, at=self._now(), **ids))  # type: ignore[arg-type]
        by_code = duplicate and self.dialect.answer.duplicate is None
        return self._answer(said["player_id"], DUPLICATE if by_code else ACCEPTED, duplicate=duplicate)

    def _answer(self, player_id: str, wanted: str, *, duplicate: bool = False) -> dict[str, Any]:
        fields, meanings = self.dialect.answer, self.dialect.meanings[200]
        code = next(code for code, meaning in meanings.items() if meaning == wanted)
        answer: dict[str, Any] = {}
        balance = amounts.write(self.balance(player_id), CURRENCY, self.dialect.amounts)
        _put(answer, fields.balance, balance)
        _put(answer, fields.currency, CURRENCY)
        if code:
            _put(answer, fields.code, code)
        if fields.duplicate is not None:
            _put(answer, fields.duplicate, duplicate)
        return answer

    # The statement

    def _statement(self, target: str) -> dict[str, Any]:
        form = self.dialect.statement
        assert form is not None
        assert urlsplit(target).path == form.path
        self.asked.append(target)
        names: dict[str, str] = {name: filter_ for filter_, name in form.query.items()}
        asked = {names[name]: value for name, value in parse_qsl(urlsplit(target).query)}
        begin = int(asked.get("cursor", "0"))
        found = [entry for entry in self.entries if self._fits(entry, asked, form)]
        page: dict[str, Any] = {}
        _put(page, form.items, [self._entry(entry, form) for entry in found[begin : begin + PAGE]])
        _put(page, form.next_cursor, str(begin + PAGE) if len(found) > begin + PAGE else None)
        return page

    def _fits(self, entry: Entry, asked: Mapping[str, str], form: StatementForm) -> bool:
        ids = ("player_id", "transaction_id", "round_id")
        return (
            asked.get("operator_id", self.operator_id) == self.operator_id
            and all(asked.get(name, value := getattr(entry, name)) == value for name in ids)
            and ("from" not in asked or entry.at >= _moment(asked["from"], form.times))
            and ("to" not in asked or entry.at < _moment(asked["to"], form.times))
        )

    def _entry(self, entry: Entry, form: StatementForm) -> dict[str, Any]:
        words: dict[str, str] = {call: word for word, call in form.calls.items()}
        moved = amounts.write(abs(entry.moved), CURRENCY, self.dialect.amounts)
        if form.signed and entry.moved < 0:
            moved = f"-{moved}" if isinstance(moved, str) else -moved
        at: int | str = entry.at.isoformat()
        if form.times is TimeForm.MILLISECONDS:
            at = round(entry.at.timestamp() * 1000)
        said: dict[str, Any] = {}
        for name, value in {
            "operator_id": self.operator_id,
            "player_id": entry.player_id,
            "transaction_id": entry.transaction_id,
            "bet_transaction_id": entry.bet_transaction_id,
            "call": words[entry.call.value],
            "round_id": entry.round_id,
            "currency": CURRENCY,
            "moved": moved,
            "at": at,
        }.items():
            _put(said, form.item[name], value)  # type: ignore[index]
        return said

    # The line

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                said = self.answer(method, target, headers, body)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def dialect_wallet(
    dialect: Dialect, operator_id: str, checks: Sequence[WebhookCheck]
) -> AsyncIterator[DialectWallet]:
    wallet = DialectWallet(dialect, operator_id, checks)
    server = await asyncio.start_server(wallet.serve, "127.0.0.1", 0)
    wallet.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wallet
    finally:
        server.close()


def _at(fields: Any, place: tuple[str, ...]) -> Any:
    for name in place:
        fields = None if fields is None else fields.get(name)
    return fields


def _put(fields: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    *folders, name = place
    for folder in folders:
        fields = fields.setdefault(folder, {})
    fields[name] = value


def _moment(text: str, form: TimeForm) -> datetime:
    if form is TimeForm.MILLISECONDS:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))
    return datetime.fromisoformat(text)
