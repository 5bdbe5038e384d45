"""Speaks the protocol of docs/platform/wallet.md over HTTP on its own: signs, sends, reads answers strictly.

It is not the client that rounds are played with: that one never sends a tampered byte or a stale time.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

import h11
import httpcore
import httpx

from certification.connection import Heard, listen
from operator_wallet.wire import STATUSES
from outbound.addresses import GuardedBackend
from outbound.client import tls_context
from outbound.transport import GuardedTransport
from security.standard_webhooks import SECRET_PREFIX, SharedSecret, signed_headers

ANSWER_LIMIT: Final = 64 * 1024
PAGE_LIMIT: Final = 256 * 1024
CALL_LIMIT_S: Final = 5.0
# As many as a wallet has to take at once, unless agreed otherwise.
CALLS_AT_ONCE: Final = 32
CODES: Final[Mapping[str, int]] = {code.value: status for code, status in STATUSES.items()}
# Statuses by which a wallet says that it offers no statement.
NO_STATEMENT: Final = frozenset({404, 405})
HIDDEN: Final = "[secret]"
SHOWN_LIMIT: Final = 600
TIMEOUTS: Final = (TimeoutError, httpx.TimeoutException, httpcore.TimeoutException)
FAILURES: Final = (
    *(httpx.HTTPError, httpcore.NetworkError, httpcore.RemoteProtocolError),
    *(h11.RemoteProtocolError, OSError),
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One call as it is sent. `call` is the last part of its path, and is said in the body too."""

    call: str
    body: Mapping[str, Any]

    def but(self, **fields: Any) -> "Ask":
        """The same with other fields."""
        return replace(self, body={**self.body, **fields})

    @property
    def content(self) -> bytes:
        return json.dumps({"call": self.call, **self.body}).encode()

    @property
    def message_id(self) -> str:
        """The transaction's id; a fresh one where nothing moves."""
        return str(self.body.get("transaction_id") or uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came. `problem` says why it is no answer of the protocol, and the rest is then not to be trusted.
    `balance` is in minor units. `beyond` is how many bytes followed the answer, where that was listened for.
    `request` and `answer` are bounded lines without secrets, for people."""

    status: int | None = None
    code: str | None = None
    balance: int | None = None
    currency: str | None = None
    wallet_transaction_id: str | None = None
    duplicate: bool = False
    problem: str | None = None
    beyond: int = 0
    request: str = ""
    answer: str = ""

    @property
    def taken(self) -> bool:
        return self.problem is None and self.status == 200


class NoAnswerOfOurs(ValueError):
    """Why an answer is none that the protocol has."""


@dataclass(frozen=True, slots=True, repr=False)
class Caller:
    """Calls the wallet at `url`. `secret_text` is `secret` as it was given, to keep it out of reports."""

    client: httpx.AsyncClient
    url: str
    secret: SharedSecret
    secret_text: str
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CALLS_AT_ONCE))

    async def call(self, ask: Ask) -> Reply:
        """With a signature that fits."""
        return await self.send(ask, ask.content, self.signed(ask.content, ask.message_id))

    async def send(self, ask: Ask, content: bytes, headers: Mapping[str, str]) -> Reply:
        """`content` and `headers` as they are, whether they fit or not. `ask` says where to."""
        return await self._reply(ask, content, lambda: self._exchange(ask.call, content, headers))

    async def listen(self, ask: Ask) -> Reply:
        """On a connection of its own, which is listened to for what follows the answer."""
        content = ask.content
        headers = _with_ours(self.signed(content, ask.message_id))
        target = f"{self.url}/{ask.call}"
        return await self._reply(ask, content, lambda: listen(target, headers, content, limit=ANSWER_LIMIT))

    async def _reply(self, ask: Ask, content: bytes, exchange: Callable[[], Awaitable[Heard]]) -> Reply:
        request = self.shown(f"POST /{ask.call} {content.decode(errors='replace')}")
        try:
            async with self.turns, asyncio.timeout(CALL_LIMIT_S):
                heard = await exchange()
        except TIMEOUTS:
            return Reply(problem=f"no answer within {CALL_LIMIT_S:.0f} s", request=request)
        except FAILURES as error:
            problem = self.shown(f"the connection failed: {type(error).__name__}: {error}")
            return Reply(problem=problem, request=request)
        answer = self.shown(f"{heard.status} {heard.body.decode(errors='replace')}")
        try:
            reply = read(heard.status, heard.encoding, heard.body)
        except NoAnswerOfOurs as problem:
            reply = Reply(status=heard.status, problem=self.shown(str(problem)))
        return replace(reply, request=request, answer=answer, beyond=heard.beyond)

    async def statement(self, **filters: str) -> tuple[Reply, list[Any] | None]:
        """The first page of what fits the filters. There are no entries where the reply has a problem, or a
        status that says that there is no statement."""
        url = httpx.URL(f"{self.url}/statement", params=filters)
        request = self.shown(f"GET {url.raw_path.decode()}")
        headers = {"accept-encoding": "identity", **self.signed(url.raw_path, str(uuid4()))}
        try:
            async with self.turns, asyncio.timeout(CALL_LIMIT_S):
                status, body = await self._page(url, headers)
        except (TimeoutError, httpx.HTTPError) as error:
            return Reply(problem=f"no answer: {type(error).__name__}", request=request), None
        answer = self.shown(f"{status} {body.decode(errors='replace')}")
        reply = Reply(status=status, request=request, answer=answer)
        if status in NO_STATEMENT:
            return reply, None
        try:
            items = _object(body)["items"] if status == 200 else None
        except (NoAnswerOfOurs, KeyError):
            items = None
        return (reply, items) if type(items) is list else (replace(reply, problem="no page of items"), None)

    async def _page(self, url: httpx.URL, headers: Mapping[str, str]) -> tuple[int, bytes]:
        body = b""
        async with self.client.stream("GET", url, headers=headers) as response:
            async for part in response.aiter_raw():
                body += part
                if len(body) > PAGE_LIMIT:
                    break
        return response.status_code, body

    async def abandon(self, ask: Ask, *, after_s: float) -> None:
        """Sends the call and hangs up after that time, whatever came."""
        content = ask.content
        try:
            async with asyncio.timeout(after_s):
                await self._exchange(ask.call, content, self.signed(content, ask.message_id))
        except (*TIMEOUTS, *FAILURES):
            return

    def signed(
        self, content: bytes, message_id: str, *, age_s: int = 0, secret: SharedSecret | None = None
    ) -> dict[str, str]:
        """The headers, with the time `age_s` ago. `secret` is another than the wallet's."""
        return signed_headers(
            [secret or self.secret],
            message_id=message_id,
            timestamp=int(time.time()) - age_s,
            body=content,
        )

    async def _exchange(self, call: str, content: bytes, headers: Mapping[str, str]) -> Heard:
        sent = _with_ours(headers)
        body = b""
        target = f"{self.url}/{call}"
        async with self.client.stream("POST", target, content=content, headers=sent) as response:
            async for part in response.aiter_raw():
                body += part
                if len(body) > ANSWER_LIMIT:
                    break
        return Heard(response.status_code, response.headers.get("content-encoding", ""), body)

    def shown(self, text: str) -> str:
        """A bounded line for people. Nobody should answer with the secret; when somebody does, it must not
        spread."""
        for secret in (self.secret_text, self.secret_text.removeprefix(SECRET_PREFIX)):
            text = text.replace(secret, HIDDEN)
        return "".join(c if c.isprintable() else " " for c in text[:SHOWN_LIMIT])


@asynccontextmanager
async def calling(url: str, secret: SharedSecret, secret_text: str) -> AsyncIterator[Caller]:
    """Redirects are not followed and proxies of the environment not asked: what is certified is the wallet at
    that address. What a wallet leaves on a connection is no answer to the next call, or every case would fail
    for it."""
    transport = GuardedTransport(GuardedBackend(local=True), tls=tls_context())
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=CALL_LIMIT_S) as client:
        yield Caller(client, url, secret, secret_text)


def _with_ours(headers: Mapping[str, str]) -> dict[str, str]:
    return {"content-type": "application/json", "accept-encoding": "identity", **headers}


def read(status: int, encoding: str, body: bytes) -> Reply:
    """Raises NoAnswerOfOurs."""
    if encoding not in ("", "identity"):
        raise NoAnswerOfOurs("the body is compressed")
    if len(body) > ANSWER_LIMIT:
        raise NoAnswerOfOurs("the body is over 64 KiB")
    if status != 200 and status not in CODES.values():
        raise NoAnswerOfOurs(f"the protocol has no status {status}")
    fields = _object(body)
    return _acceptance(fields) if status == 200 else _refusal(status, fields)


def _acceptance(fields: Mapping[str, Any]) -> Reply:
    balance = fields.get("balance")
    if type(balance) is not int:
        raise NoAnswerOfOurs('"balance" is no integer, or missing')
    if not isinstance(fields.get("currency"), str):
        raise NoAnswerOfOurs('"currency" is no text, or missing')
    if not isinstance(fields.get("transaction_id"), str | None):
        raise NoAnswerOfOurs('"transaction_id" is neither text nor null')
    if not isinstance(fields.get("duplicate", False), bool):
        raise NoAnswerOfOurs('"duplicate" is neither true nor false')
    return Reply(
        status=200,
        balance=balance,
        currency=fields["currency"],
        wallet_transaction_id=fields.get("transaction_id"),
        duplicate=fields.get("duplicate", False),
    )


def _refusal(status: int, fields: Mapping[str, Any]) -> Reply:
    code, balance = fields.get("code"), fields.get("balance")
    if not isinstance(code, str) or CODES.get(code) != status:
        raise NoAnswerOfOurs(f'"code" is none that goes with status {status}')
    if balance is not None and type(balance) is not int:
        raise NoAnswerOfOurs('"balance" is no integer')
    return Reply(status=status, code=code, balance=balance)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_never)
    except (ValueError, RecursionError):
        raise NoAnswerOfOurs("the body is no JSON in UTF-8, or says a name twice") from None
    if not isinstance(value, dict):
        raise NoAnswerOfOurs("the body is no JSON object")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _never(text: str) -> None:
    raise ValueError("no number")
