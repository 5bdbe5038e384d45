"""What the pages for platforms and for SREs tell their readers to run does run."""

import asyncio
import base64
import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import pytest

from runtime.settings import PROJECT_ROOT
from storage.database import Database
from tests.conftest import Services
from tests.support.clients import STAKE, seat_players
from tests.support.conditions import HANG_S, until
from tests.support.curl import path_with_curl
from tests.support.http import http_client


def blocks(page: str, language: str) -> list[str]:
    text = (PROJECT_ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    (code,) = blocks("platform/consume-events.md", "python")
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(code, "docs/platform/consume-events.md", "exec"), names)  # noqa: S102 - our own page
    return names


async def test_the_example_consumer_keeps_the_books_of_the_rounds_and_buries_what_is_not_ours(
    platform: dict[str, Any],
    services: Services,
    database: Database,
    amqp_url: str,
    example: dict[str, Any],
) -> None:
    name = f"books-{uuid4().hex}"
    await database.pool.execute(example["TABLES"])
    keys = services.keyring.events.public_keys()
    consuming = asyncio.create_task(
        example["consume"](amqp_url, database.pool, keys, operator="demo", queue_name=name)
    )
    connection = await aio_pika.connect(amqp_url)
    channel = await connection.channel()
    try:
        await _declared(amqp_url, f"{name}.dead")
        await _declared(amqp_url, name)
        (player,) = await seat_players(platform, 1)
        async with http_client(timeout=HANG_S) as client:
            rounds = [await player.bet(client, uuid4().hex) for _ in range(3)]
        player_id = await database.pool.fetchval(
            "SELECT player_id FROM rounds WHERE round_id = $1", rounds[0]["round_id"]
        )
        expected = (3 * STAKE, sum(round_["win"]["amount"] for round_ in rounds))

        async def books() -> bool:
            row = await database.pool.fetchrow("SELECT * FROM books WHERE player_id = $1", player_id)
            return row is not None and (row["stake"], row["win"]) == expected

        await until(books)
        await channel.default_exchange.publish(aio_pika.Message(b'{"id": "not ours"}'), name)
        dead = await channel.get_queue(f"{name}.dead")
        buried = await until(lambda: dead.get(fail=False, no_ack=True))
        assert buried is not None
        assert buried.body == b'{"id": "not ours"}'
        assert await books()
    finally:
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)
        for queue in (name, f"{name}.dead"):
            await channel.queue_delete(queue)
        await connection.close()
        await database.pool.execute("DROP TABLE books, books_inbox")


async def _declared(amqp_url: str, queue: str) -> None:
    """Asks until the queue is there, on a channel of its own: the broker closes one that asked in vain."""

    async def there() -> bool:
        async with await aio_pika.connect(amqp_url) as connection:
            try:
                await (await connection.channel()).get_queue(queue, ensure=True)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                return False
            return True

    await until(there)


async def test_the_example_applies_an_event_once(database: Database, example: dict[str, Any]) -> None:
    event = {
        "id": uuid4().hex,
        "type": "round.settled",
        "data": {
            "player_id": "alice",
            "stake": {"amount": 100, "currency": "EUR"},
            "win": {"amount": 40, "currency": "EUR"},
        },
    }
    await database.pool.execute(example["TABLES"])
    try:
        for _ in range(2):
            await example["apply"](database.pool, event)
        row = await database.pool.fetchrow("SELECT stake, win FROM books WHERE player_id = 'alice'")
        assert tuple(row) == (100, 40)
    finally:
        await database.pool.execute("DROP TABLE books, books_inbox")


async def test_the_example_endpoint_takes_genuine_events_once(
    services: Services, platform: dict[str, Any], tmp_path: Path
) -> None:
    (code,) = blocks("platform/webhooks.md", "python")
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(code, "docs/platform/webhooks.md", "exec"), names)  # noqa: S102 - our own page
    (player,) = await seat_players(platform, 1)
    headers = {"Authorization": f"Bearer {platform['operator_key']}"}
    async with http_client(timeout=HANG_S, base_url=platform["base_url"], headers=headers) as operator:
        webhooks, events = "/v1/operator/webhooks", tmp_path / "events.db"
        port = services.stack.port("guide")
        made = (await operator.post(webhooks, json={"url": f"http://127.0.0.1:{port}/"})).json()
        server = names["endpoint"](made["secret"], events, port)
        serving = asyncio.create_task(asyncio.to_thread(server.serve_forever, 0.05))
        try:
            async with http_client(timeout=HANG_S) as client:
                round_ = await player.bet(client, uuid4().hex)
                await until(lambda: _stored(events, round_["round_id"]))
                forged = await client.post(f"http://127.0.0.1:{port}/", json={"id": "forged"})
            assert forged.status_code == 401
        finally:
            server.shutdown()
            await serving
            server.server_close()
            await operator.delete(f"{webhooks}/{made['webhook_id']}")


async def _stored(events: Path, round_id: str) -> bool:
    """Whether the endpoint has the round's event, once."""
    with contextlib.closing(sqlite3.connect(events)) as books:
        bodies = [json.loads(body) for (body,) in books.execute("SELECT body FROM events")]
    return [body["subject"] for body in bodies].count(round_id) == 1


def test_the_command_prints_the_public_keys(services: Services) -> None:
    (command,) = blocks("platform/consume-events.md", "sh")
    command = command.replace(".venv/bin/python", sys.executable)
    command = command.replace(".local/keyring.json", str(services.settings.keyring))
    done = subprocess.run(["sh", "-c", command], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    printed = dict(line.split() for line in done.stdout.splitlines())
    keys = services.keyring.events.public_keys()
    assert {name: base64.b64decode(text) for name, text in printed.items()} == {
        name: key.public_bytes_raw() for name, key in keys.items()
    }


def test_the_command_shows_a_page_of_the_feed(platform: dict[str, Any], tmp_path: Path) -> None:
    (command,) = blocks("platform/events.md", "sh")
    names = {"BASE_URL": platform["base_url"], "OPERATOR_KEY": platform["operator_key"]}
    names["PATH"] = path_with_curl(tmp_path)
    done = subprocess.run(
        ["sh", "-c", command], env={**os.environ, **names}, capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout)) == {"items", "next_cursor"}


async def test_the_operators_calls_are_answered(platform: dict[str, Any]) -> None:
    """In their order; `{session_id}` is the session that was opened last."""
    (calls,) = blocks("platform/sessions.md", "http")
    authorized = {"authorization": f"Bearer {platform['operator_key']}"}
    session_id = ""
    async with http_client(timeout=HANG_S, base_url=platform["base_url"], headers=authorized) as client:
        for line in calls.splitlines():
            method, path, *rest = line.split(" ", 2)
            body = json.loads(rest[0]) if rest else None
            answer = await client.request(method, path.format(session_id=session_id), json=body)
            assert answer.is_success, (line, answer.text)
            if answer.content:
                session_id = answer.json().get("session_id", session_id)


async def test_every_metric_that_is_named_exists(platform: dict[str, Any]) -> None:
    pages_of_metrics = ("sre/watch.md", "reference/metrics.md", "reference/metrics-others.md")
    text = "".join((PROJECT_ROOT / "docs" / page).read_text(encoding="utf-8") for page in pages_of_metrics)
    names = set(re.findall(r"\bcroupier_(?:rounds|bet|bets|open|outbox|events|statistics|wallet)_\w+", text))
    async with http_client(timeout=HANG_S) as client:
        pages = "".join([(await client.get(url)).text for url in platform["metrics_urls"].values()])
    assert len(names) > 8
    # A histogram whose labels nobody has used yet has no buckets to show.
    assert {name for name in names if re.sub("_(bucket|count)$", "", name) not in pages} == set()
