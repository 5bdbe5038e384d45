"""The reference wallet as a process of its own: its address and secret, its faults, a look into its book."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import httpx

from operator_wallet.book import Book
from runtime.settings import PROJECT_ROOT
from security.standard_webhooks import SharedSecret, signed_headers
from tests.support.conditions import HANG_S, until
from tests.support.http import http_client

OPERATOR = "demo"
PLAYER = "anna"


@dataclass
class RunningWallet:
    """`book` is the wallet's own file, opened a second time. Amounts are in minor units."""

    secret: str
    control_token: str
    database: Path
    arguments: Sequence[str]
    book: Book
    client: httpx.AsyncClient
    url: str = ""
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    # The process

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """On the port that it had before, if it ran before; with the same book, in any case."""
        port = httpx.URL(self.url).port if self.url else 0
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "operator_wallet", "--json", "--port", str(port)),
            *("--database", str(self.database), *self.arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                "OPERATOR_WALLET_SECRET": self.secret,
                "OPERATOR_WALLET_CONTROL_TOKEN": self.control_token,
            },
            cwd=PROJECT_ROOT,
        )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), HANG_S)
        assert line, "the wallet did not start; its standard error says why"
        self.url = json.loads(line)["url"]

    async def stop(self) -> int:
        """In an orderly way; returns the exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """As `kill -9` does."""
        await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> int:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(how)
        return await asyncio.wait_for(self._process.wait(), HANG_S)

    # Its faults

    async def set_faults(self, **plan: Any) -> None:
        """`seed`, `rates`, `schedule`, `script`, `only`, `until_count`, `slow_s`, `delay_s`, `hold_s`, as
        operator_wallet/control.py reads them. Counts start anew."""
        await self._control("POST", "/control/faults", plan)

    async def clear_faults(self) -> None:
        """The counts stay."""
        await self._control("DELETE", "/control/faults")

    async def faults(self) -> dict[str, Any]:
        """{"total": n, "under_way": n, "fired": {kind: {call: n}}, "left": {...}, "latest": [...]}."""
        return await self._control("GET", "/control/faults")

    async def fired(self, kind: str) -> int:
        """How often a kind came about, over all calls."""
        return sum((await self.faults())["fired"].get(kind, {}).values())

    async def until_fired(self, kind: str, count: int = 1) -> None:
        """Raises TimeoutError when it does not come about."""

        async def enough() -> bool:
            return await self.fired(kind) >= count

        await until(enough)

    async def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.client.request(
            method,
            self.url + path,
            content=b"" if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.control_token}"},
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    # Its book

    def open_player(self, player_id: str = PLAYER, balance: int = 10_000, currency: str = "EUR") -> None:
        self.book.open_player(OPERATOR, player_id, currency, balance)

    def balance(self, player_id: str = PLAYER) -> int:
        player = self.book.player(OPERATOR, player_id)
        assert player is not None
        return player.balance

    def moved(self, transaction_id: str) -> int | None:
        """What a transaction moved; None when the wallet never took it."""
        entries = self.book.statement(transaction_id=transaction_id)
        assert len(entries) <= 1
        return entries[0].moved if entries else None

    # Calling it

    async def call(self, call: str, body: dict[str, Any], *, timeout_s: float = HANG_S) -> httpx.Response:
        """A call with a signature that fits; the body says which call it is, unless it says another. It waits
        for its answer for `timeout_s` from when it was sent."""
        content = json.dumps({"call": call, **body}).encode()
        headers = self.signed(content, message_id=body.get("transaction_id"))
        return await self.client.post(
            f"{self.url}/{call}",
            content=content,
            headers=headers,
            timeout=httpx.Timeout(HANG_S, read=timeout_s),
        )

    async def statement(self, query: str = "") -> httpx.Response:
        """`query` as it stands after the question mark."""
        target = f"/statement?{query}" if query else "/statement"
        return await self.client.get(self.url + target, headers=self.signed(target.encode()))

    def signed(self, content: bytes, *, message_id: str | None = None, age_s: int = 0) -> dict[str, str]:
        """The headers for a body, or for the target of a statement's request."""
        return signed_headers(
            [SharedSecret.parse(self.secret)],
            message_id=message_id or uuid4().hex,
            timestamp=int(time.time()) - age_s,
            body=content,
        )


@asynccontextmanager
async def running_wallet(*arguments: str) -> AsyncIterator[RunningWallet]:
    """A wallet with an empty book; `arguments` are those of `./croupier operator-wallet`, such as
    "--new-players", "100000". Ends with the block, however that ends."""
    with TemporaryDirectory() as folder:
        database = Path(folder) / "wallet.sqlite3"
        book = Book(str(database))
        async with http_client(timeout=HANG_S) as client:
            wallet = RunningWallet(new_secret(), uuid4().hex, database, arguments, book, client)
            try:
                await wallet.start()
                yield wallet
            finally:
                await wallet.kill()
                book.close()


def new_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


def bet(amount: int = 100, **fields: Any) -> dict[str, Any]:
    """A bet's body, with ids of its own unless given."""
    return {**_movement("bet"), "amount": amount, **fields}


def win(of: dict[str, Any] | None, amount: int = 250, **fields: Any) -> dict[str, Any]:
    """The win of a bet, or one by promotion."""
    ids = {"round_id": of["round_id"], "player_id": of["player_id"]} if of else {}
    bet_id = of["transaction_id"] if of else None
    return {**_movement("win"), **ids, "amount": amount, "bet_transaction_id": bet_id, **fields}


def rollback(of: dict[str, Any], **fields: Any) -> dict[str, Any]:
    ids = {"round_id": of["round_id"], "player_id": of["player_id"]}
    return {**_movement("rollback"), **ids, "bet_transaction_id": of["transaction_id"], **fields}


def subject(**fields: Any) -> dict[str, Any]:
    """The body of `authenticate` and `balance`, which does not say yet which of them it is."""
    return {
        "operator_id": OPERATOR,
        "player_id": PLAYER,
        "session_id": "session-1",
        "currency": "EUR",
        **fields,
    }


def _movement(call: str) -> dict[str, Any]:
    return {
        "call": call,
        **subject(),
        "transaction_id": str(uuid4()),
        "round_id": uuid4().hex,
        "game_id": "dice",
    }
