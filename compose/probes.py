"""Readiness on the protocol itself: a query, a declare, a namespace's description, an HTTP answer.

Each probe imports its client only when it runs, so that the command line starts quickly. Reasons are the
error's kind and bounded text, and never hold a URL, which has a password in it.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from compose.problems import NotReady

if TYPE_CHECKING:
    from runtime.temporal import Access

LIMIT_SECONDS = 15.0


async def postgres(url: str) -> None:
    """`select 1` on a new connection."""
    import asyncpg

    try:
        connection = await asyncpg.connect(url, timeout=LIMIT_SECONDS)
        try:
            await connection.fetchval("select 1", timeout=LIMIT_SECONDS)
        finally:
            await connection.close(timeout=LIMIT_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
        raise NotReady(reason(problem)) from None


async def amqp(url: str) -> None:
    """Declare a queue of our own that goes with the connection."""
    import aio_pika
    from aio_pika.exceptions import AMQPError

    from events.broker import SelfClosingConnection

    try:
        await _reachable(url)  # first, because the client logs an error for each refused connection
        connection = await aio_pika.connect(
            url, timeout=LIMIT_SECONDS, connection_class=SelfClosingConnection
        )
        try:
            channel = await connection.channel()
            await channel.declare_queue(exclusive=True, auto_delete=True, timeout=LIMIT_SECONDS)
        finally:
            await connection.close()
    except (OSError, TimeoutError, AMQPError, asyncio.IncompleteReadError) as problem:
        raise NotReady(reason(problem)) from None


async def temporal(address: str, namespace: str, access: Access | None = None) -> None:
    """Describe the namespace, which needs the frontend and the persistence behind it."""
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
    from temporalio.client import Client
    from temporalio.service import RPCError

    try:
        tls, api_key = (False, None) if access is None else (access.tls, access.api_key)
        client = await Client.connect(address, namespace=namespace, tls=tls, api_key=api_key)
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    except (RuntimeError, RPCError, OSError) as problem:
        raise NotReady(reason(problem)) from None


async def http(url: str) -> None:
    """A GET that is answered with 200."""
    import httpx

    try:
        async with httpx.AsyncClient(verify=_trusted(), timeout=LIMIT_SECONDS, trust_env=False) as client:
            answer = await client.get(url)
    except httpx.HTTPError as problem:
        raise NotReady(reason(problem)) from None
    if answer.status_code != 200:
        raise NotReady(f"{url} answered {answer.status_code}: {answer.text[:200]}")


@cache
def _trusted() -> ssl.SSLContext:
    """Made once: reading all authorities takes 20 ms, and a program that starts is probed many times."""
    return ssl.create_default_context()


async def _reachable(url: str) -> None:
    parts = urlsplit(url)
    port = parts.port or (5671 if parts.scheme == "amqps" else 5672)
    _, writer = await asyncio.wait_for(asyncio.open_connection(parts.hostname, port), LIMIT_SECONDS)
    writer.close()


def reason(problem: BaseException) -> str:
    """The kind and the first line of an error, bounded."""
    lines = str(problem).splitlines()
    return f"{type(problem).__name__}: {lines[0][:200]}" if lines else type(problem).__name__
