"""HTTP clients of tests, which share what they trust, and wait for whatever does not hang."""

import ssl
from functools import cache
from typing import Any

import httpx

from tests.support.conditions import HANG_S


def http_client(**options: Any) -> httpx.AsyncClient:
    """As httpx.AsyncClient, which reads all authorities anew for each client: 20 ms of processor time, and
    tests make thousands."""
    return httpx.AsyncClient(verify=_trusted(), **{"timeout": HANG_S, **options})


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()
