"""HTTP/1.1 as the load generator speaks it: requests made beforehand, answers parsed as they arrive.

A request is written once with `{round_id}` where the id goes, cut there, and joined around each new id. Ids
have one length, so Content-Length is known beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httptools

PLACEHOLDER: Final = "{round_id}"
ID_LENGTH: Final = 24
BODY_KEPT_BYTES: Final = 300  # of an answer that is no success, for the report


@dataclass(frozen=True, slots=True)
class Request:
    """What one player sends for each round; `path` and `body` may hold PLACEHOLDER."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


def cut(request: Request, *, host: str) -> tuple[bytes, ...]:
    """The bytes of a request between its ids. `host` is host:port, as the Host header has it."""
    body = json.dumps(request.body, separators=(",", ":"))
    length = len(body) + body.count(PLACEHOLDER) * (ID_LENGTH - len(PLACEHOLDER))
    headers = {"Host": host, "Content-Type": "application/json", "Content-Length": str(length)}
    lines = [f"POST {request.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in {**headers, **request.headers}.items()]
    return tuple(part.encode("ascii") for part in ("\r\n".join(lines) + "\r\n\r\n" + body).split(PLACEHOLDER))


def round_ids(prefix: str) -> Callable[[], bytes]:
    """A source of ids of ID_LENGTH characters, unique while prefixes are."""
    width = ID_LENGTH - len(prefix)
    assert width >= 6, "the prefix leaves room for a million rounds"
    count = 0

    def following() -> bytes:
        nonlocal count
        count += 1
        return f"{prefix}{count:0{width}d}".encode("ascii")

    return following


def is_settled(status: int, body: bytes) -> bool:
    """Whether an answer is a success: 2xx, with a settled round in it."""
    return 200 <= status < 300 and (b'"state":"settled"' in body or b'"state": "settled"' in body)


def address(url: str) -> tuple[str, int]:
    """Host and port of a base URL."""
    parts = urlsplit(url)
    assert parts.hostname is not None, "a target has a host"
    assert parts.port is not None, "a target has a port"
    return parts.hostname, parts.port


class Answers:
    """Cuts a stream of bytes into answers and hands each to `on_answer(status, body)`. During that call
    `retry_after` says whether the answer has the header of this name.
    """

    def __init__(self, on_answer: Callable[[int, bytes], None]) -> None:
        self._on_answer = on_answer
        self._body = b""
        self.retry_after = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Raises httptools.HttpParserError for what is no HTTP."""
        self._parser.feed_data(data)

    # What the parser calls

    def on_message_begin(self) -> None:
        self._body = b""
        self.retry_after = False

    def on_header(self, name: bytes, _: bytes) -> None:
        self.retry_after = self.retry_after or name.lower() == b"retry-after"

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._on_answer(self._parser.get_status_code(), self._body)
