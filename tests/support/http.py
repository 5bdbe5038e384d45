"""HTTP clients of tests, which share what they trust."""

import ssl
from functools import cache
from typing import Any

import httpx


def http_client(**options: Any) -> httpx.AsyncClient:
    """As httpx.AsyncClient, which reads all authorities anew for each client: 20 ms of processor time, and
    tests make thousands."""
    return httpx.AsyncClient(verify=_trusted(), **options)


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()
