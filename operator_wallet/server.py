"""The wallet as a server: calls and statements for Croupier, a control interface for its owner."""

import asyncio
import hmac
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from contracts.wallet import WalletCall, WalletRequest
from operator_wallet import control, wire
from operator_wallet.book import Book
from operator_wallet.connections import Request, Response, Server
from operator_wallet.entries import Policy, Refused, Taken
from operator_wallet.faults import Faults
from operator_wallet.misbehaviour import Misbehaviour, plain
from security.standard_webhooks import WebhookCheck

T = TypeVar("T")

CALLS: Final = {f"/{call.value}": call for call in WalletCall}
LAST_ANSWERS_S: Final = 5.0
NOT_FOUND: Final = Response(status=404, body=b'{"code": "not-found"}')
METHOD_NOT_ALLOWED: Final = Response(status=405, body=b'{"code": "method-not-allowed"}')
FORBIDDEN: Final = Response(status=401, body=b'{"code": "bad-token"}')
DONE: Final = Response(status=200, body=b"{}")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WalletSettings:
    """`database` is a file or `:memory:`; `checks` are the keys that Croupier may sign with. Without a
    `control_token` there is no control interface."""

    host: str
    port: int
    database: str
    checks: Sequence[WebhookCheck]
    policy: Policy
    control_token: str | None = None


async def serve(settings: WalletSettings, stop: asyncio.Event, announce: Callable[[str], None]) -> None:
    """Serves until `stop`; `announce` gets the URL once it answers. Raises OSError when the port cannot be
    had, sqlite3.Error when the database cannot."""
    book = Book(settings.database, settings.policy)
    # One thread has the book, so that the loop never waits for the disk and the book never for two writers.
    with ThreadPoolExecutor(1, thread_name_prefix="book") as thread:
        try:
            await _serve(Wallet(settings, book, thread), settings, stop, announce)
        finally:
            await asyncio.get_running_loop().run_in_executor(thread, book.close)


async def _serve(
    wallet: "Wallet", settings: WalletSettings, stop: asyncio.Event, announce: Callable[[str], None]
) -> None:
    server = Server(wallet.handle)
    announce(await server.listen(settings.host, settings.port))
    try:
        await stop.wait()
    finally:
        await server.stop(patience_s=LAST_ANSWERS_S)
        await wallet.stop()


class Wallet:
    """The routes."""

    def __init__(self, settings: WalletSettings, book: Book, thread: ThreadPoolExecutor) -> None:
        self._settings = settings
        self._book = book
        self._thread = thread
        self._faults = Faults()
        self._calls = Misbehaviour(self._faults, self._process, self._funds)

    async def handle(self, request: Request) -> Response:
        path = request.path
        if path in CALLS:
            return await self._call(CALLS[path], request) if request.method == "POST" else METHOD_NOT_ALLOWED
        if path == "/statement":
            return await self._statement(request) if request.method == "GET" else METHOD_NOT_ALLOWED
        if path == "/healthz":
            return _json(200, {"status": "ok"})
        if path.startswith("/control/") and self._settings.control_token is not None:
            return await self._control(request) if self._has_token(request) else FORBIDDEN
        return NOT_FOUND

    async def stop(self) -> None:
        await self._calls.stop()

    # For Croupier

    async def _call(self, call: WalletCall, request: Request) -> Response:
        try:
            asked = wire.read_call(
                call, request.headers, request.body, checks=self._settings.checks, now=time.time
            )
        except Refused as refused:
            return plain(refused)
        return await self._calls.answer(asked)

    async def _statement(self, request: Request) -> Response:
        try:
            asked = wire.read_statement(
                request.target, request.headers, checks=self._settings.checks, now=time.time
            )
        except Refused as refused:
            return plain(refused)
        entries = await self._in_book(
            lambda: self._book.statement(limit=wire.STATEMENT_PAGE + 1, **asked.filters)
        )
        return _json(200, wire.statement_body(entries))

    async def _process(self, request: WalletRequest) -> Taken | Refused:
        try:
            return await self._in_book(lambda: self._book.take(request))
        except Refused as refused:
            return refused

    async def _funds(self, request: WalletRequest) -> int | None:
        return await self._in_book(lambda: self._book.funds(request))

    async def _in_book(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # The control interface

    def _has_token(self, request: Request) -> bool:
        expected = f"Bearer {self._settings.control_token}".encode()
        return hmac.compare_digest(request.headers.get("authorization", "").encode("latin-1"), expected)

    async def _control(self, request: Request) -> Response:
        try:
            match request.method, request.path:
                case "POST", "/control/faults":
                    self._faults.begin(control.read_plan(request.body))
                case "GET", "/control/faults":
                    return _json(200, self._faults.report())
                case "DELETE", "/control/faults":
                    self._faults.end()
                case "POST", "/control/players":
                    await self._order(control.read_player(request.body))
                case "POST", "/control/sessions/end":
                    ended = control.read_session_end(request.body)
                    await self._in_book(lambda: self._book.end_session(ended.operator_id, ended.session_id))
                case _:
                    return NOT_FOUND
        except control.NotUnderstood as problem:
            return _json(422, {"code": "invalid", "detail": str(problem)})
        return DONE

    async def _order(self, order: control.PlayerOrder) -> None:
        """Raises NotUnderstood when the player to be opened is there already."""
        operator_id, player_id, balance = order.operator_id, order.player_id, order.balance
        currency = order.currency or self._settings.policy.currency
        if balance is not None:
            try:
                await self._in_book(lambda: self._book.open_player(operator_id, player_id, currency, balance))
            except ValueError as problem:
                raise control.NotUnderstood(str(problem)) from None
        if (blocked := order.blocked) is not None:
            await self._in_book(lambda: self._book.block_player(operator_id, player_id, blocked=blocked))


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(status=status, body=json.dumps(body).encode())
