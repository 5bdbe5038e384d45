"""An operator's endpoint for webhooks: takes what comes, checks its signature by itself, answers as it is
told."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.conditions import until

OK = 204


@dataclass(frozen=True, slots=True)
class Received:
    """One request. `signed_by` are the secrets of which a signature fits."""

    path: str
    headers: dict[str, str]
    body: bytes
    signed_by: tuple[str, ...]

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event


def fits(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Standard Webhooks' own words: base64 of HMAC-SHA256 over id, time and body, joined by full stops."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return wanted in headers["webhook-signature"].split()


@dataclass
class Receiver:
    """`answers` are the statuses of the next requests, in order; then `otherwise`, or what it says of the
    event's id. An answer of 0 is a connection that breaks. `beyond` is what follows the next answers, each
    one's on its connection. While it is `silent` it answers nothing."""

    url: str = ""
    secrets: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    otherwise: int | Callable[[str], int] = OK
    says: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    beyond: list[bytes] = field(default_factory=list)
    silent: bool = False
    received: list[Received] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)  # the ids of what was answered with a 2xx

    async def until_taken(self, ids: Iterable[str]) -> None:
        wanted = set(ids)

        async def all_there() -> bool:
            return wanted <= set(self.taken)

        await until(all_there)

    async def until_received(self, count: int) -> None:
        async def enough() -> bool:
            return len(self.received) >= count

        await until(enough)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        request, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines if line]
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers["content-length"]))
        signed_by = tuple(secret for secret in self.secrets if fits(secret, headers, body))
        self.received.append(Received(request.split()[1], headers, body, signed_by))
        if self.silent:
            await reader.read()
            return False
        status = self._status(headers["webhook-id"])
        if status == 0:
            return False
        if 200 <= status < 300:
            self.taken.append(headers["webhook-id"])
        said = b"" if status == OK else self.says
        told = {**self.headers, **({} if status == OK else {"content-length": str(len(said))})}
        more = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        beyond = self.beyond.pop(0) if self.beyond else b""
        writer.write(f"HTTP/1.1 {status} Said\r\n{more}\r\n".encode() + said + beyond)
        await writer.drain()
        return True

    def _status(self, event_id: str) -> int:
        if self.answers:
            return self.answers.pop(0)
        return self.otherwise(event_id) if callable(self.otherwise) else self.otherwise


@asynccontextmanager
async def receiving(**told: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver(**told)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/croupier/events"
    try:
        yield receiver
    finally:
        server.close()
