"""A codec server in this process, and how it is asked."""

import base64
import json
from collections.abc import Iterator
from typing import Any, Final

import httpx

from api.codec.access import Access
from api.codec.app import create_app
from security.keyring import Keyring
from security.payload_reader import PayloadReader

ORIGIN: Final = "https://temporal.example"
PATH: Final = "a-path-that-nobody-is-told"
KEYRING: Final = Keyring.generate()


def server(access: Access, *, origins: tuple[str, ...] = (ORIGIN,)) -> httpx.AsyncClient:
    app = create_app(PayloadReader(KEYRING.payload), access, origins)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://codec.example")


def body(*values: object) -> dict[str, Any]:
    """Payloads in the clear."""
    encoding = {"encoding": encoded("json/plain")}
    return {"payloads": [{"metadata": encoding, "data": encoded(json.dumps(value))} for value in values]}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def values_of(answer: httpx.Response) -> Iterator[Any]:
    for payload in answer.json().get("payloads", []):
        yield json.loads(base64.b64decode(payload["data"]))
